/* The library at the edges of a program's life, on a small stack, and twice in one process.
 *
 *     loading path/to/libtcpshaker.so
 *
 * Linked to the archive; the shared object is loaded beside it. */
#include "process.h"
#include "target.h"

#include <dlfcn.h>
#include <pthread.h>

static struct target up, down;
static char name[40];

static atomic_int called;

static void count(const shaker_result *result, void *user_data) {
  (void)user_data;
  EXPECT_EQ(result->status, SHAKER_OK);
  called++;
}

/* Every way to ask, with a checker. */
static void use(shaker_checker *checker) {
  shaker_request requests[3] = {ask(&up, PATIENCE_MS), ask(&down, PATIENCE_MS), ask(&up, PATIENCE_MS)};
  shaker_result results[3];
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(checker, name, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_many(checker, requests, 3, results), SHAKER_OK);
  EXPECT(results[0].status == SHAKER_OK && results[1].status == SHAKER_REFUSED && results[2].status == SHAKER_OK);
  requests[2].callback = count;
  int before = called;
  EXPECT_EQ(shaker_submit(checker, requests, 3, NULL), SHAKER_OK);
  for (size_t reaped = 0; reaped < 2;) {
    size_t taken = shaker_reap(checker, results, 3, PATIENCE_MS);
    EXPECT(taken > 0);
    reaped += taken > 0 ? taken : 2;
  }
  UNTIL_CALLED(checker, called == before + 1);
}

static void use_a_new_one(void) {
  shaker_checker *checker = new_checker();
  use(checker);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Before main. */
__attribute__((constructor)) static void begin(void) {
  up = live(AF_INET);
  down = dead(AF_INET);
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  use_a_new_one();
}

/* After main, when the handlers that were registered later have run already. */
static shaker_checker *kept;

static void use_at_exit(void) {
  use(kept);
  EXPECT_EQ(shaker_checker_free(kept), SHAKER_OK);
  use_a_new_one();
  use(shaker_checker_default());
}

__attribute__((destructor)) static void end(void) {
  use_a_new_one();
  if (failures != 0) _exit(outcome());
}

static void *use_on_a_small_stack(void *checker) {
  use(checker);
  use_a_new_one();
  return NULL;
}

static void a_small_stack_is_enough(void) {
  pthread_attr_t small;
  pthread_t thread;
  shaker_checker *checker = new_checker();
  NEED(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 64 << 10) == 0);
  NEED(pthread_create(&thread, &small, use_on_a_small_stack, checker) == 0);
  NEED(pthread_join(thread, NULL) == 0);
  pthread_attr_destroy(&small);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Each copy has its own default checker and its own threads, and neither takes the other's place. */
static void two_copies_do_not_meet(const char *path) {
  void *other = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (other == NULL) fprintf(stderr, "%s\n", dlerror());
  NEED(other != NULL);
  __typeof__(&shaker_checker_new) others_new;
  __typeof__(&shaker_checker_free) others_free;
  __typeof__(&shaker_check_addr) others_check;
  __typeof__(&shaker_checker_default) others_default;
  *(void **)&others_new = dlsym(other, "shaker_checker_new");
  *(void **)&others_free = dlsym(other, "shaker_checker_free");
  *(void **)&others_check = dlsym(other, "shaker_check_addr");
  *(void **)&others_default = dlsym(other, "shaker_checker_default");
  NEED(others_new != NULL && others_free != NULL && others_check != NULL && others_default != NULL);
  EXPECT(others_new != shaker_checker_new && others_default() != shaker_checker_default());
  shaker_checker *one = new_checker(), *two = NULL;
  EXPECT_EQ(others_new(NULL, &two), SHAKER_OK);
  for (int i = 0; i < 20; i++) {
    use(one);
    EXPECT_EQ(others_check(two, up.text, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(others_check(two, name, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(others_check(others_default(), down.text, PATIENCE_MS, NULL), SHAKER_REFUSED);
  }
  EXPECT_EQ(others_free(two), SHAKER_OK);
  EXPECT_EQ(dlclose(other), 0);
  use(one);
  EXPECT_EQ(shaker_checker_free(one), SHAKER_OK);
}

int main(int count, char **arguments) {
  NEED(count == 2);
  kept = new_checker();
  NEED(atexit(use_at_exit) == 0);
  a_small_stack_is_enough();
  two_copies_do_not_meet(arguments[1]);
  return outcome();
}
