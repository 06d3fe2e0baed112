/* Every thread is sent two signals a thousand times a second, one of a handler with SA_RESTART and one without: no verdict
 * suffers, no change of a monitor comes of it, none is handled on a thread of the library, and what each thread of the
 * program has set for itself is as it was: its mask, its stack for signals, what it does with SIGPIPE.
 *
 *     signalled socket|raw|driven|raw-driven seconds */
#include "kinds.h"
#include "process.h"
#include "target.h"

#include <pthread.h>
#include <sys/syscall.h>

enum { STACK = 64 << 10, WORKERS = 4 };

static struct target up, down, mute;
static shaker_checker *checker;
static shaker_monitor *monitor;
static atomic_int is_over, elsewhere, beside_the_stack, broken_pipes;
static atomic_long handled, restarting;
static sigset_t storming;

/* A thread of the program's own has one; a thread of the library has none. */
static _Thread_local char *stack;
static _Thread_local volatile long taken;

static void handle(int signal) {
  char here;
  handled++;
  taken++;
  restarting += signal == SIGUSR2;
  if (stack == NULL) elsewhere++;
  else if (&here < stack || &here >= stack + STACK) beside_the_stack++;
}

static void break_pipe(int signal) {
  (void)signal;
  broken_pipes++;
}

/* What a thread has set for itself. */
struct own {
  sigset_t mask;
  stack_t stack;
};

static struct own join_the_storm(void) {
  struct own own;
  stack = malloc(STACK);
  NEED(stack != NULL);
  stack_t alternate = {.ss_sp = stack, .ss_size = STACK};
  NEED(sigaltstack(&alternate, NULL) == 0);
  NEED(pthread_sigmask(SIG_UNBLOCK, &storming, NULL) == 0);
  NEED(pthread_sigmask(SIG_SETMASK, NULL, &own.mask) == 0 && sigaltstack(NULL, &own.stack) == 0);
  return own;
}

static void leave_the_storm(const struct own *before) {
  struct own now;
  NEED(pthread_sigmask(SIG_SETMASK, NULL, &now.mask) == 0 && sigaltstack(NULL, &now.stack) == 0);
  for (int i = 1; i < 65; i++) EXPECT_EQ(sigismember(&now.mask, i), sigismember(&before->mask, i));
  EXPECT(now.stack.ss_sp == before->stack.ss_sp && now.stack.ss_flags == before->stack.ss_flags);
  EXPECT(taken > 0);
  NEED(pthread_sigmask(SIG_BLOCK, &storming, NULL) == 0);
  stack_t none = {.ss_flags = SS_DISABLE};
  NEED(sigaltstack(&none, NULL) == 0);
  free(stack);
}

static void *check(void *unused) {
  struct own own = join_the_storm();
  while (!is_over) {
    shaker_result result, results[3];
    shaker_request requests[3] = {ask(&up, PATIENCE_MS), ask(&down, PATIENCE_MS), ask(&mute, 20)};
    for (int i = 0; i < 20; i++) {
      EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, &result), SHAKER_OK);
      EXPECT_EQ(shaker_check_addr(checker, down.text, PATIENCE_MS, &result), SHAKER_REFUSED);
    }
    shaker_status status = shaker_check_addr(checker, mute.text, 20, &result);
    EXPECT(status == SHAKER_TIMEOUT || status == SHAKER_ERR_BUSY); /* a slow machine may not even begin it in time */
    EXPECT(result.elapsed_us >= 20 * 1000);
    EXPECT_EQ(shaker_check_many(checker, requests, 3, results), SHAKER_OK);
    EXPECT(results[0].status == SHAKER_OK && results[1].status == SHAKER_REFUSED);
    EXPECT_EQ(results[2].status, SHAKER_TIMEOUT);
  }
  leave_the_storm(&own);
  return unused;
}

/* Submits, names among the targets, and waits for its results: neither shorter nor longer for the signals. */
static void *reap(void *unused) {
  struct own own = join_the_storm();
  char name[40];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  while (!is_over) {
    shaker_request requests[2] = {ask(&up, PATIENCE_MS), ask(&up, PATIENCE_MS)};
    requests[1].addr = name;
    requests[1].flags = SHAKER_IPV4;
    shaker_result result;
    EXPECT_EQ(shaker_submit(checker, requests, 2, NULL), SHAKER_OK);
    for (int i = 0; i < 2; i++) {
      EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
      EXPECT_EQ(result.status, SHAKER_OK);
    }
    long long before = now_ms();
    EXPECT_EQ(shaker_reap(checker, &result, 1, 30), 0);
    EXPECT(now_ms() - before >= 29);
  }
  leave_the_storm(&own);
  return unused;
}

/* Each watch changes once. */
static void *watch(void *unused) {
  struct own own = join_the_storm();
  uint64_t ids[2];
  shaker_watch watches[2] = {{.addr = up.text, .interval_ms = 5}, {.addr = down.text, .interval_ms = 5}};
  shaker_change change;
  size_t changes = 0;
  EXPECT_EQ(shaker_monitor_add(monitor, watches, 2, ids), SHAKER_OK);
  while (!is_over || changes < 2) changes += shaker_monitor_reap(monitor, &change, 1, 50);
  EXPECT_EQ(changes, 2);
  for (int i = 0; i < 2; i++) {
    shaker_watch_info info;
    EXPECT_EQ(shaker_monitor_get(monitor, ids[i], &info, sizeof info), SHAKER_OK);
    EXPECT_EQ(info.state, i == 0 ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
    EXPECT(info.no_verdict == 0 && info.checks > 10);
  }
  leave_the_storm(&own);
  return unused;
}

/* To every thread but the calling one; a thread that has ended meanwhile is not there any more. */
static void send_to_all(void) {
  long sender = syscall(SYS_gettid);
  DIR *directory = opendir("/proc/self/task");
  NEED(directory != NULL);
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    long thread = atol(entry->d_name);
    if (thread == 0 || thread == sender) continue;
    syscall(SYS_tgkill, getpid(), thread, SIGUSR1);
    syscall(SYS_tgkill, getpid(), thread, SIGUSR2);
  }
  closedir(directory);
}

/* A thousand times a second, or as often as the machine has time for it. Returns how often each was sent. */
static long send_for(int seconds) {
  long rounds = 0;
  for (long long begun = now_ms(); now_ms() < begun + seconds * 1000LL; rounds++) {
    send_to_all();
    if (!withholds_ack()) accept_all(&up); /* its queue would be full soon */
    while (now_ms() < begun + rounds) pause_ms(1);
  }
  return rounds;
}

int main(int count, char **arguments) {
  NEED(count == 3);
  kind = arguments[1];
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  sigemptyset(&storming);
  sigaddset(&storming, SIGUSR1);
  sigaddset(&storming, SIGUSR2);
  /* Nobody has joined yet; the library's threads have a mask of their own. */
  NEED(pthread_sigmask(SIG_BLOCK, &storming, NULL) == 0);
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_ONSTACK}, broken = {.sa_handler = break_pipe}, now;
  sigemptyset(&action.sa_mask);
  sigemptyset(&broken.sa_mask);
  NEED(sigaction(SIGUSR1, &action, NULL) == 0);
  action.sa_flags |= SA_RESTART;
  NEED(sigaction(SIGUSR2, &action, NULL) == 0 && sigaction(SIGPIPE, &broken, NULL) == 0);

  checker = checker_of_kind(2);
  monitor = monitor_of(checker);
  pthread_t workers[WORKERS];
  void *(*const bodies[WORKERS])(void *) = {check, check, reap, watch};
  for (int i = 0; i < WORKERS; i++) NEED(pthread_create(&workers[i], NULL, bodies[i], NULL) == 0);
  int seconds = atoi(arguments[2]);
  long long begun = now_ms();
  long rounds = send_for(seconds);
  long long took_ms = now_ms() - begun;
  is_over = 1;
  /* Whoever waits in a call is sent some more. */
  for (int i = 0; i < 20; i++) {
    send_to_all();
    pause_ms(1);
  }
  for (int i = 0; i < WORKERS; i++) NEED(pthread_join(workers[i], NULL) == 0);
  /* A thousand rounds a second are due; a machine that is ten times slower has time for a hundred. */
  EXPECT(rounds >= 100 * seconds && handled > rounds && restarting > rounds / 2);
  EXPECT_EQ(elsewhere, 0);
  EXPECT_EQ(beside_the_stack, 0);
  EXPECT_EQ(broken_pipes, 0);
  NEED(sigaction(SIGPIPE, NULL, &now) == 0);
  EXPECT(now.sa_handler == break_pipe);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  UNTIL(threads() == 1);
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  printf("%ld signals handled, %lld times a second each to every thread\n", handled, rounds * 1000LL / took_ms);
  return outcome();
}
