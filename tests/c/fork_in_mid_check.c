/* A program forks in mid-check, again and again, and each child does something else: it exits, frees what it inherited,
 * uses it and has a checker of its own, forks again, executes a program, or is made by vfork(2) or posix_spawn(3). Not one
 * check of the parent is disturbed, nor its monitor; and no program that is executed inherits a descriptor.
 *
 *     fork_in_mid_check socket|raw|driven|raw-driven single|multi
 *
 * The kind of checker, and how many threads of its own the parent has. */
#include "kinds.h"
#include "process.h"
#include "target.h"

#include <pthread.h>
#include <spawn.h>

extern char **environ;

enum { MANY = 120, TARGETS = 3, ROUNDS = 28, SHORT_MS = 100 };

static struct target targets[TARGETS]; /* up, down, mute */
static const int truths[TARGETS] = {SHAKER_OK, SHAKER_REFUSED, SHAKER_TIMEOUT};
static shaker_checker *checker;
static shaker_monitor *monitor;
static uint64_t watches[2];
static char *itself[] = {"/proc/self/exe", "inherited", NULL};

/* What this program does when it is executed by a child: it tells how many descriptors it has. */
static int inherited(void) {
  int count = 0;
  for (int fd = 0; fd < 1024; fd++) count += fcntl(fd, F_GETFD) >= 0;
  return count;
}

static pid_t spawn(void) {
  pid_t child = -1;
  NEED(posix_spawn(&child, itself[0], NULL, NULL, itself, environ) == 0);
  return child;
}

static pid_t vfork_and_execute(void) {
  pid_t child = vfork();
  if (child == 0) {
    execve(itself[0], itself, environ);
    _exit(126);
  }
  NEED(child > 0);
  return child;
}

static void has_one_of_its_own(void) {
  shaker_checker *own = checker_of_kind(1);
  for (int i = 0; i < 2; i++) EXPECT_EQ(shaker_check_addr(own, targets[i].text, PATIENCE_MS, NULL), truths[i]);
  shaker_monitor *watching = monitor_of(own);
  shaker_watch watch = {.addr = targets[0].text, .interval_ms = 10};
  shaker_change change;
  EXPECT_EQ(shaker_monitor_add(watching, &watch, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_reap(watching, &change, 1, PATIENCE_MS), 1);
  EXPECT_EQ(change.to, SHAKER_STATE_UP);
  EXPECT_EQ(shaker_monitor_free(watching), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(own), SHAKER_OK);
}

static void uses_its_parents(void) {
  shaker_request request = ask(&targets[0], PATIENCE_MS);
  shaker_result result;
  shaker_change change;
  EXPECT_EQ(shaker_check(checker, &request, NULL), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, &result), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_checker_fd(checker), -1);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_monitor_check_now(monitor, watches[0]), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_monitor_report(monitor, watches[0], false), SHAKER_ERR_FORKED);
  EXPECT_EQ(shaker_monitor_remove(monitor, watches, 2), SHAKER_ERR_FORKED);
  shaker_checker_shutdown(checker);
}

static void frees_its_parents(void) {
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* A child that does what this round is for. Where the parent forks beside other threads, a failure of theirs is not the
 * child's. */
static pid_t make_child(int round) {
  if (round % 7 == 5) return vfork_and_execute();
  if (round % 7 == 6) return spawn();
  pid_t child = fork_child();
  if (child > 0) return child;
  failures = 0;
  switch (round % 7) {
  case 0: break;
  case 1: frees_its_parents(); break;
  case 2:
    uses_its_parents();
    has_one_of_its_own();
    frees_its_parents();
    break;
  case 3: {
    uses_its_parents();
    pid_t grandchild = fork_child();
    if (grandchild == 0) {
      failures = 0;
      uses_its_parents();
      frees_its_parents();
      has_one_of_its_own();
      _exit(outcome());
    }
    EXPECT_EQ(wait_for(grandchild), 0);
    break;
  }
  case 4: execve(itself[0], itself, environ); _exit(126);
  }
  _exit(outcome());
}

/* Where callers drive, somebody must. */
static void reap_all(int expected) {
  static shaker_result results[MANY];
  for (int reaped = 0; reaped < expected;) {
    int count = (int)shaker_reap(checker, results, MANY, PATIENCE_MS);
    EXPECT(count > 0);
    if (count == 0) return;
    for (int i = 0; i < count; i++) {
      int truth = truths[(size_t)results[i].user_data];
      /* A slow machine may not even begin it in time. */
      if (truth != SHAKER_TIMEOUT || results[i].status != SHAKER_ERR_BUSY) EXPECT_EQ(results[i].status, truth);
    }
    reaped += count;
  }
}

static void fork_in_mid_check(int round, int descriptors_of_a_program) {
  shaker_request requests[MANY];
  for (int i = 0; i < MANY; i++) {
    int target = i % TARGETS;
    requests[i] = ask(&targets[target], truths[target] == SHAKER_TIMEOUT ? SHORT_MS : PATIENCE_MS);
    requests[i].user_data = (void *)(size_t)target;
  }
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  pid_t child = make_child(round);
  reap_all(MANY);
  int end = wait_for(child);
  EXPECT_EQ(end, round % 7 >= 4 ? descriptors_of_a_program : 0);
}

/* The parent's other threads: one that checks, and one that forks beside. */
static atomic_int is_over;

static void *check_beside(void *unused) {
  shaker_request requests[2] = {ask(&targets[0], PATIENCE_MS), ask(&targets[1], PATIENCE_MS)};
  shaker_result results[2];
  while (!is_over) {
    for (int i = 0; i < 2; i++) EXPECT_EQ(shaker_check(checker, &requests[i], NULL), truths[i]);
    EXPECT_EQ(shaker_check_many(checker, requests, 2, results), SHAKER_OK);
    for (int i = 0; i < 2; i++) EXPECT_EQ(results[i].status, truths[i]);
  }
  return unused;
}

static void *fork_beside(void *unused) {
  for (int round = 0; !is_over; round++) {
    pid_t child = make_child(round % 4 == 3 ? 0 : round % 4);
    EXPECT_EQ(wait_for(child), 0);
    pause_ms(3);
  }
  return unused;
}

/* Each watch has had its one change, and no verdict but the true one. */
static void the_monitor_was_not_disturbed(void) {
  shaker_change changes[4];
  shaker_watch_info info;
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(shaker_monitor_get(monitor, watches[i], &info, sizeof info), SHAKER_OK);
    EXPECT_EQ(info.state, i == 0 ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
    EXPECT(info.checks > 3 && info.changes == 1 && info.no_verdict == 0);
    EXPECT(info.checks == (i == 0 ? info.up : info.down));
  }
  EXPECT_EQ(shaker_monitor_reap(monitor, changes, 4, 0), 0);
}

static void no_check_was_disturbed(void) {
  shaker_stats stats = stats_of(checker);
  EXPECT_EQ(stats.err_local + stats.err_cancelled + stats.err_closed + stats.err_internal, 0);
  EXPECT(stats.submitted >= stats.up + stats.refused + stats.timed_out);
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "inherited") == 0) return inherited();
  NEED(count == 3);
  kind = arguments[1];
  int has_threads = strcmp(arguments[2], "multi") == 0;
  targets[0] = live(AF_INET);
  targets[1] = dead(AF_INET);
  targets[2] = silent();
  int descriptors_before = descriptors(), descriptors_of_a_program = wait_for(spawn());
  NEED(descriptors_of_a_program > 0 && descriptors_of_a_program < 100);
  checker = checker_of_kind(2);
  monitor = monitor_of(checker);
  shaker_watch list[2] = {{.addr = targets[0].text, .interval_ms = 10}, {.addr = targets[1].text, .interval_ms = 10}};
  EXPECT_EQ(shaker_monitor_add(monitor, list, 2, watches), SHAKER_OK);
  shaker_change change;
  for (int i = 0; i < 2; i++) EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, PATIENCE_MS), 1);
  EXPECT(shaker_checker_fd(checker) >= 0 && shaker_monitor_fd(monitor) >= 0);

  pthread_t beside[2];
  if (has_threads) {
    NEED(pthread_create(&beside[0], NULL, check_beside, NULL) == 0);
    NEED(pthread_create(&beside[1], NULL, fork_beside, NULL) == 0);
  }
  for (int round = 0; round < ROUNDS; round++) {
    fork_in_mid_check(round, descriptors_of_a_program);
    accept_all(&targets[0]); /* where no ACK can be withheld the queue would be full soon */
    EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, 0), 0);
  }
  is_over = 1;
  for (int i = 0; i < 2 && has_threads; i++) pthread_join(beside[i], NULL);
  the_monitor_was_not_disturbed();
  no_check_was_disturbed();
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  UNTIL(threads() == 1);
  EXPECT_EQ(descriptors(), descriptors_before);
  for (int i = 0; i < TARGETS; i++) close_target(&targets[i]);
  return outcome();
}
