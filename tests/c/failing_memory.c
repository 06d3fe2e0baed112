/* Memory that cannot be had: this program's own malloc(3) fails for the library's larger allocations, one of them or all
 * of them from some time on.
 *
 *     failing_memory socket|raw|driven kibibytes
 *
 * What asks for so much is refused, or ends as a local fault, and the checker goes on when there is memory again. Of
 * smaller ones some end the process: Rust's collections have no other way. */
#include "failing_malloc.h"
#include "process.h"
#include "target.h"

#include <pthread.h>

enum { CHECKS = 1500, WATCHES = 100, KINDS = 2 };

static struct target up, down;
static const char *kind;

static shaker_request *requests;
static shaker_result *results;
static atomic_int called;

static int is_right(const shaker_result *result, size_t index) {
  if (result->status < 0) return result->status == SHAKER_ERR_LOCAL && result->os_error == ENOMEM;
  return result->status == (index % KINDS == 0 ? SHAKER_OK : SHAKER_REFUSED);
}

static void note(const shaker_result *result, void *user_data) {
  EXPECT(is_right(result, (size_t)user_data));
  called++;
}

static void ask_for(size_t count, int with_callbacks) {
  for (size_t i = 0; i < count; i++) {
    requests[i] = ask(i % KINDS == 0 ? &up : &down, PATIENCE_MS);
    requests[i].callback = with_callbacks ? note : NULL;
    requests[i].user_data = (void *)i;
  }
}

/* Returns whether they were accepted. */
static int submit(shaker_checker *checker, int with_callbacks) {
  int before = called;
  uint64_t submitted = stats_of(checker).submitted;
  ask_for(CHECKS, with_callbacks);
  int status = shaker_submit(checker, requests, CHECKS, NULL);
  if (status != SHAKER_OK) {
    EXPECT_EQ(status, SHAKER_ERR_LOCAL);
    EXPECT_EQ(stats_of(checker).submitted, submitted);
    return 0;
  }
  size_t left = with_callbacks ? 0 : CHECKS;
  long long give_up = now_ms() + PATIENCE_MS;
  while ((left > 0 || (with_callbacks && called - before < CHECKS)) && now_ms() < give_up) {
    size_t taken = shaker_reap(checker, results, CHECKS, left > 0 ? 1000 : 1);
    for (size_t i = 0; i < taken; i++) EXPECT(is_right(&results[i], (size_t)results[i].user_data));
    left -= taken;
  }
  EXPECT_EQ(left, 0);
  return 1;
}

static void check_many(shaker_checker *checker) {
  ask_for(CHECKS, 0);
  int status = shaker_check_many(checker, requests, CHECKS, results);
  if (status != SHAKER_OK) EXPECT_EQ(status, SHAKER_ERR_LOCAL);
  for (size_t i = 0; i < CHECKS && status == SHAKER_OK; i++) EXPECT(is_right(&results[i], i));
}

/* Each watch has checks of its own, as its interval is its own. Nothing of a monitor is larger than what can be had, but
 * room for many watches at once. */
static shaker_monitor *make_monitor(shaker_checker *checker, uint64_t *ids) {
  static shaker_watch watches[WATCHES];
  shaker_monitor *monitor = NULL;
  shaker_monitor_config *config = shaker_monitor_config_new();
  NEED(shaker_monitor_config_set_max_spread(config, 0) == SHAKER_OK);
  NEED(shaker_monitor_new(checker, config, &monitor) == SHAKER_OK);
  shaker_monitor_config_free(config);
  for (size_t i = 0; i < WATCHES; i++) {
    const struct target *target = i % KINDS == 0 ? &up : &down;
    watches[i] = (shaker_watch){.addr = target->text, .timeout_ms = PATIENCE_MS, .interval_ms = 20 + (uint32_t)i};
    watches[i].user_data = (void *)i;
  }
  NEED(shaker_monitor_add(monitor, watches, WATCHES, ids) == SHAKER_OK);
  return monitor;
}

static size_t reap_changes(shaker_monitor *monitor, uint32_t wait_ms) {
  static shaker_change changes[WATCHES];
  size_t reaped = shaker_monitor_reap(monitor, changes, WATCHES, wait_ms);
  for (size_t i = 0; i < reaped; i++) {
    EXPECT_EQ(changes[i].from, SHAKER_STATE_UNKNOWN);
    EXPECT_EQ(changes[i].to, (size_t)changes[i].user_data % KINDS == 0 ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
  }
  return reaped;
}

/* Every target is judged once, if only when there is memory again. */
static void watch(shaker_checker *checker) {
  uint64_t ids[WATCHES];
  size_t told = 0;
  counting = 0;
  shaker_monitor *monitor = make_monitor(checker, ids);
  counting = 1;
  for (size_t i = 0; i < WATCHES; i++) {
    int status = shaker_monitor_report(monitor, ids[i], i % KINDS == 0);
    if (status != SHAKER_OK) EXPECT_EQ(status, SHAKER_ERR_LOCAL);
  }
  for (int round = 0; round < 5; round++) told += reap_changes(monitor, 10);
  counting = 0;
  long long give_up = now_ms() + PATIENCE_MS;
  while (told < WATCHES && now_ms() < give_up) told += reap_changes(monitor, 100);
  EXPECT_EQ(told, WATCHES);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

/* Who has no memory for it makes it when there is some again. */
static shaker_checker *make(void) {
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  NEED(shaker_config_set_caller_driven(config, strcmp(kind, "driven") == 0) == SHAKER_OK);
  NEED(strcmp(kind, "raw") != 0 || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  int status = shaker_checker_new(config, &checker);
  if (status != SHAKER_OK) {
    EXPECT_EQ(status, SHAKER_ERR_LOCAL);
    counting = 0;
    NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
    counting = 1;
  }
  shaker_config_free(config);
  return checker;
}

/* In a child, which may die of it. Returns how it ended, and in `*count` how many allocations there were. */
static int end_of_a_child(int first, int last, int *count) {
  int pipes[2];
  NEED(pipe(pipes) == 0);
  pid_t child = fork_child();
  if (child == 0) {
    alarm(60);
    failures = 0; /* of the children before it */
    from = first, to = last;
    counting = 1;
    shaker_checker *checker = make();
    submit(checker, 0);
    submit(checker, 1);
    check_many(checker);
    watch(checker);
    EXPECT(submit(checker, 0));
    EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
    int number = asked;
    NEED(write(pipes[1], &number, sizeof number) == sizeof number);
    _exit(outcome());
  }
  close(pipes[1]);
  int end = wait_for(child);
  *count = 0;
  if (read(pipes[0], count, sizeof *count) < 0) *count = 0;
  close(pipes[0]);
  return end;
}

int main(int count, char **arguments) {
  NEED(count == 3);
  kind = arguments[1];
  least = (size_t)atoi(arguments[2]) << 10;
  up = live(AF_INET);
  down = dead(AF_INET);
  requests = calloc(CHECKS, sizeof *requests);
  results = calloc(CHECKS, sizeof *results);
  NEED(requests != NULL && results != NULL);
  int all = 0, ignored;
  EXPECT_EQ(end_of_a_child(INT32_MAX, 0, &all), 0);
  EXPECT(all > 10);
  for (int first = 1; first <= all; first += 1 + all / 6) {
    int once = end_of_a_child(first, first, &ignored), from_then_on = end_of_a_child(first, INT32_MAX, &ignored);
    if (once != 0 || from_then_on != 0) {
      fprintf(stderr, "%s: of %d allocations %d fails: %d; and all after: %d\n", kind, all, first, once, from_then_on);
      failures++;
    }
  }
  return outcome();
}
