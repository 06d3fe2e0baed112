/* A checker with nothing to do does nothing: its threads do not get a processor for a single instruction. */
#include "process.h"
#include "target.h"

enum { THREADS = 16 };

struct thread {
  char id[16];
  unsigned long long on_cpu_ns;
  unsigned long long switches;
};

static struct thread seen[THREADS];
static int count;

/* How long the thread has run, and how often it went to sleep or was put to. */
static void look(const char *id) {
  char path[64], text[8192];
  NEED(count < THREADS);
  struct thread *thread = &seen[count++];
  snprintf(thread->id, sizeof thread->id, "%s", id);
  snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", id);
  read_text(path, text, sizeof text);
  thread->on_cpu_ns = strtoull(text, NULL, 10);
  snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
  read_text(path, text, sizeof text);
  const char *line = strstr(text, "\nvoluntary_ctxt_switches:");
  NEED(line != NULL);
  thread->switches = strtoull(strchr(line, ':') + 1, NULL, 10);
  line = strstr(text, "\nnonvoluntary_ctxt_switches:");
  NEED(line != NULL);
  thread->switches += strtoull(strchr(line, ':') + 1, NULL, 10);
}

static int same_as_before(const struct thread *before, int threads) {
  count = 0;
  if (each_thread("shaker-", look) != threads) return 0;
  for (int i = 0; i < threads; i++) {
    if (before[i].on_cpu_ns != seen[i].on_cpu_ns || before[i].switches != seen[i].switches) return 0;
  }
  return 1;
}

int main(void) {
  struct target up = live(AF_INET), mute = silent();
  shaker_config *config = shaker_config_new();
  shaker_checker *busy_once, *never_used = new_checker();
  EXPECT_EQ(shaker_config_set_threads(config, 2), SHAKER_OK);
  NEED(shaker_checker_new(config, &busy_once) == SHAKER_OK);
  shaker_config_free(config);

  /* Everything that could leave a timer, a socket or a thread that stirs. */
  enum { MANY = 200 };
  static shaker_request requests[MANY];
  static shaker_result results[MANY];
  char name[32];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  for (int i = 0; i < MANY; i++) {
    requests[i] = ask(i % 2 ? &up : &mute, 100);
    requests[i].flags = i % 5 == 0 ? SHAKER_LINGER : 0;
  }
  EXPECT_EQ(shaker_check_addr(busy_once, name, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_many(busy_once, requests, MANY, NULL), SHAKER_OK);
  EXPECT(shaker_checker_fd(busy_once) >= 0);
  EXPECT_EQ(shaker_submit(busy_once, requests, MANY, NULL), SHAKER_OK);
  for (size_t reaped = 0; reaped < MANY;) reaped += shaker_reap(busy_once, results, MANY, PATIENCE_MS);
  pause_ms(200); /* the last round of each loop, a slow machine included */

  /* A machine that is stopped itself, or a debugger, may wake a thread once; a tick would wake it every time. */
  int quiet = 0;
  for (int attempt = 0; attempt < 3 && !quiet; attempt++) {
    struct thread before[THREADS];
    count = 0;
    int threads = each_thread("shaker-", look);
    EXPECT(threads >= 4);
    memcpy(before, seen, sizeof before);
    pause_ms(2000);
    quiet = same_as_before(before, threads);
  }
  EXPECT(quiet);
  EXPECT_EQ(shaker_check_addr(busy_once, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(never_used, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(busy_once), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(never_used), SHAKER_OK);
  close_target(&up);
  close_target(&mute);
  return outcome();
}
