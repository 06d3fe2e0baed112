/* The library loaded at run time, used, unloaded and loaded again: nothing grows, and nothing of it stays.
 *
 *     GLIBC_TUNABLES=glibc.malloc.tcache_count=0 unload path/to/libtcpshaker.so rounds in-brief
 *
 * How often it is used in every way, and how often in brief, with whatever is under way when it is freed. Not linked to the library: every function is looked up. The setting keeps the allocator from holding back memory
 * that was freed, so that the count of what is in use is exact. */
#include "process.h"
#include "target.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

#define FUNCTIONS(EACH)                                                                                        \
  EACH(shaker_checker_new) EACH(shaker_checker_free) EACH(shaker_checker_default) EACH(shaker_check_addr)      \
  EACH(shaker_check_many) EACH(shaker_submit) EACH(shaker_reap) EACH(shaker_checker_fd) EACH(shaker_checker_stats) \
  EACH(shaker_config_new) EACH(shaker_config_free) EACH(shaker_config_set_threads) EACH(shaker_result_str)     \
  EACH(shaker_status_str) EACH(shaker_version) EACH(shaker_config_set_engine) EACH(shaker_monitor_new)          \
  EACH(shaker_monitor_add) EACH(shaker_monitor_reap) EACH(shaker_monitor_fd) EACH(shaker_monitor_free)

#define POINTER(name) __typeof__(&name) name;
struct library {
  void *handle;
  FUNCTIONS(POINTER)
};

static const char *path;
static int rounds, rounds_in_brief;
static struct target up, down, mute;

static struct library load(void) {
  struct library library;
  library.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library.handle == NULL) fprintf(stderr, "%s\n", dlerror());
  NEED(library.handle != NULL);
#define LOOK_UP(name) *(void **)&library.name = dlsym(library.handle, #name);
  FUNCTIONS(LOOK_UP)
#define FOUND(name) NEED(library.name != NULL);
  FUNCTIONS(FOUND)
  return library;
}

static int is_mapped(void) {
  const char *name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
  FILE *maps = fopen("/proc/self/maps", "re");
  NEED(maps != NULL);
  char line[4096];
  int found = 0;
  while (fgets(line, sizeof line, maps) != NULL) found |= strstr(line, name) != NULL;
  fclose(maps);
  return found;
}

static void count(const shaker_result *result, void *user_data) {
  EXPECT_EQ(result->status, SHAKER_OK);
  ++*(atomic_int *)user_data;
}

/* A bit of everything that makes threads, descriptors, memory and thread-local storage. */
static void use(const struct library *library) {
  shaker_checker *checker = NULL;
  shaker_config *config = library->shaker_config_new();
  EXPECT_EQ(library->shaker_config_set_threads(config, 2), SHAKER_OK);
  NEED(!is_raw() || library->shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  EXPECT_EQ(library->shaker_checker_new(config, &checker), SHAKER_OK);
  library->shaker_config_free(config);
  NEED(checker != NULL);
  char name[32], text[256];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  shaker_result result, results[4];
  EXPECT_EQ(library->shaker_check_addr(checker, up.text, PATIENCE_MS, &result), SHAKER_OK);
  EXPECT(library->shaker_result_str(&result, text, sizeof text) > 0);
  EXPECT_EQ(library->shaker_check_addr(checker, down.text, PATIENCE_MS, &result), SHAKER_REFUSED);
  EXPECT(library->shaker_result_str(&result, text, sizeof text) > 0);
  EXPECT_EQ(library->shaker_check_addr(checker, name, PATIENCE_MS, NULL), SHAKER_OK);
  shaker_status status = library->shaker_check_addr(checker, mute.text, 20, NULL);
  EXPECT(status == SHAKER_TIMEOUT || status == SHAKER_ERR_BUSY); /* a slow machine may begin it too late */
  EXPECT_EQ(library->shaker_check_addr(checker, NULL, 0, NULL), SHAKER_ERR_INVALID);
  atomic_int calls = 0;
  shaker_request requests[4] = {ask(&up, PATIENCE_MS), ask(&up, PATIENCE_MS), ask(&mute, PATIENCE_MS), {.addr = "x"}};
  requests[0].callback = count;
  requests[0].user_data = &calls;
  EXPECT(library->shaker_checker_fd(checker) >= 0);
  EXPECT_EQ(library->shaker_submit(checker, requests, 4, NULL), SHAKER_OK);
  EXPECT(library->shaker_reap(checker, results, 4, PATIENCE_MS) > 0);
  UNTIL(calls == 1);
  requests[0].callback = NULL;
  EXPECT_EQ(library->shaker_check_many(checker, requests, 2, NULL), SHAKER_OK);
  EXPECT_EQ(library->shaker_checker_free(checker), SHAKER_OK);
}

/* Freed with checks, results, watches and changes under way; of two monitors one is freed after the checker. */
static void use_in_brief(const struct library *library) {
  enum { MANY = 20 };
  shaker_checker *checker = NULL;
  shaker_monitor *monitors[2] = {NULL, NULL};
  shaker_config *config = library->shaker_config_new();
  NEED(!is_raw() || library->shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  EXPECT_EQ(library->shaker_checker_new(config, &checker), SHAKER_OK);
  library->shaker_config_free(config);
  NEED(checker != NULL);
  shaker_request requests[MANY];
  shaker_result result;
  shaker_change change;
  for (int i = 0; i < MANY; i++) requests[i] = ask(i % 2 == 0 ? &mute : i % 4 == 1 ? &up : &down, PATIENCE_MS);
  shaker_watch watches[3] = {{.addr = up.text}, {.addr = mute.text}, {.addr = down.text}};
  for (int i = 0; i < 3; i++) watches[i].interval_ms = 1;
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(library->shaker_monitor_new(checker, NULL, &monitors[i]), SHAKER_OK);
    EXPECT_EQ(library->shaker_monitor_add(monitors[i], watches, 3, NULL), SHAKER_OK);
  }
  EXPECT(library->shaker_monitor_fd(monitors[0]) >= 0);
  EXPECT_EQ(library->shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  EXPECT_EQ(library->shaker_reap(checker, &result, 1, PATIENCE_MS), 1);
  EXPECT_EQ(library->shaker_monitor_reap(monitors[0], &change, 1, PATIENCE_MS), 1);
  EXPECT_EQ(library->shaker_monitor_free(monitors[0]), SHAKER_OK);
  EXPECT_EQ(library->shaker_checker_free(checker), SHAKER_OK);
  EXPECT_EQ(library->shaker_monitor_free(monitors[1]), SHAKER_OK);
}

static void load_use_unload(void (*use_it)(const struct library *)) {
  struct library library = load();
  EXPECT(is_mapped());
  use_it(&library);
  EXPECT_EQ(dlclose(library.handle), 0);
  EXPECT(!is_mapped());
}

static void nothing_grows(void) {
  enum { SMALLEST_BLOCK = 32 };
  mallopt(M_ARENA_MAX, 1); /* mallinfo2 counts one arena only */
  load_use_unload(use); /* what the C library keeps for itself, it has after this */
  load_use_unload(use_in_brief);
  int threads_before = threads(), descriptors_before = descriptors();
  EXPECT_EQ(threads_before, 1);
  size_t memory_before = mallinfo2().uordblks;
  for (int round = 0; round < rounds + rounds_in_brief; round++) {
    load_use_unload(round < rounds ? use : use_in_brief);
    EXPECT_EQ(descriptors(), descriptors_before);
    UNTIL(threads() == threads_before);
    accept_all(&up); /* where no ACK can be withheld the queue would be full soon */
  }
  size_t memory_after = mallinfo2().uordblks;
  EXPECT(memory_after < memory_before + (size_t)(rounds + rounds_in_brief) * SMALLEST_BLOCK);
}

/* Threads that have called the library and end after it is gone: nothing of theirs leads back into it. */
static atomic_int used, gone;

static void *use_and_outlive(void *library) {
  use(library);
  used++;
  while (!gone) pause_ms(1);
  return NULL;
}

static void threads_outlive_the_library(void) {
  enum { THREADS = 3 };
  struct library library = load();
  pthread_t outliving[THREADS];
  for (int i = 0; i < THREADS; i++) NEED(pthread_create(&outliving[i], NULL, use_and_outlive, &library) == 0);
  UNTIL(used == THREADS);
  EXPECT_EQ(dlclose(library.handle), 0);
  EXPECT(!is_mapped());
  gone = 1;
  for (int i = 0; i < THREADS; i++) pthread_join(outliving[i], NULL);
  load_use_unload(use);
}

/* The default checker cannot be freed, so it keeps the library where it is, whoever closes it. */
static void the_default_checker_keeps_it_loaded(void) {
  struct library library = load();
  shaker_checker *shared = library.shaker_checker_default();
  NEED(shared != NULL);
  atomic_int calls = 0;
  shaker_request later = {0};
  later.addr = up.text;
  later.callback = count;
  later.user_data = &calls;
  EXPECT_EQ(library.shaker_check_addr(shared, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  for (int round = 0; round < 5; round++) {
    calls = 0;
    EXPECT_EQ(library.shaker_submit(shared, &later, 1, NULL), SHAKER_OK);
    EXPECT_EQ(dlclose(library.handle), 0);
    EXPECT(is_mapped());
    UNTIL(calls == 1);
    library = load();
    EXPECT(library.shaker_checker_default() == shared);
    EXPECT_EQ(library.shaker_check_addr(shared, down.text, PATIENCE_MS, NULL), SHAKER_REFUSED);
    use(&library);
  }
  EXPECT_EQ(dlclose(library.handle), 0);
}

int main(int argc, char **argv) {
  NEED(argc == 4);
  path = argv[1];
  rounds = atoi(argv[2]);
  rounds_in_brief = atoi(argv[3]);
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  EXPECT(!is_mapped());
  nothing_grows();
  threads_outlive_the_library();
  the_default_checker_keeps_it_loaded();
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
