/* A storm of signals from outside: no handler ever runs on a thread of the library, and no verdict suffers. */
#include "process.h"
#include "target.h"

#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

static struct target up, down, mute;
static shaker_checker *checker;

/* True on the program's own threads; a thread of the library has its own copy, and nobody sets it. */
static _Thread_local volatile sig_atomic_t own;
static atomic_int handled, handled_elsewhere, storm, workers;

static void handle(int signal) {
  (void)signal;
  handled++;
  if (!own) handled_elsewhere++;
}

/* What a thread's own fault raises (signal(7), "synchronously generated"). */
static int is_fault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGFPE || signal == SIGILL || signal == SIGTRAP ||
         signal == SIGSYS;
}

/* The signals that a thread blocks, as bits. False once it has ended. */
static int reads_blocked(const char *id, unsigned long long *blocked) {
  char path[64], status[8192];
  snprintf(path, sizeof path, "/proc/self/task/%s/status", id);
  read_text(path, status, sizeof status);
  const char *line = strstr(status, "SigBlk:");
  if (line == NULL) return 0;
  *blocked = strtoull(line + strlen("SigBlk:"), NULL, 16);
  return 1;
}

/* How many threads were there to be looked at. */
static int judged;

/* The library's threads block whatever can come from outside, and nothing that a fault of their own raises. glibc blocks
   all signals while a thread starts or ends. */
static void blocks_all_but_faults(const char *id) {
  unsigned long long blocked = 0;
  for (int tries = 0; tries < 1000; tries++) {
    if (!reads_blocked(id, &blocked)) return;
    if (!(blocked >> (SIGSEGV - 1) & 1)) break;
    pause_ms(1);
  }
  for (int signal = 1; signal <= 64; signal++) {
    /* Those two cannot be, and glibc keeps 32 and 33 to itself. */
    if (signal == SIGKILL || signal == SIGSTOP || signal == 32 || signal == 33) continue;
    int is_blocked = (int)(blocked >> (signal - 1) & 1);
    if (is_blocked == is_fault(signal)) {
      fprintf(stderr, "signal %d is %s\n", signal, is_blocked ? "blocked" : "not blocked");
    }
    EXPECT(is_blocked != is_fault(signal));
  }
  judged++;
}

/* A thread of the program's own, which takes no signal before it has said so. */
static sigset_t storming;

static pthread_t start(void *(*body)(void *)) {
  pthread_t thread;
  NEED(pthread_sigmask(SIG_BLOCK, &storming, NULL) == 0);
  NEED(pthread_create(&thread, NULL, body, NULL) == 0);
  NEED(pthread_sigmask(SIG_UNBLOCK, &storming, NULL) == 0);
  return thread;
}

static void join_the_storm(void) {
  own = 1;
  NEED(pthread_sigmask(SIG_UNBLOCK, &storming, NULL) == 0);
}

static void *signal_the_process(void *unused) {
  join_the_storm();
  while (storm) {
    kill(getpid(), SIGUSR1);
    for (volatile int spin = 0; spin < 20000; spin++) {
    }
  }
  return unused;
}

static void *check(void *unused) {
  join_the_storm();
  for (int round = 0; round < 60; round++) {
    shaker_result result;
    EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, &result), SHAKER_OK);
    EXPECT_EQ(shaker_check_addr(checker, down.text, PATIENCE_MS, &result), SHAKER_REFUSED);
    shaker_status status = shaker_check_addr(checker, mute.text, 20, &result);
    EXPECT(status == SHAKER_TIMEOUT || status == SHAKER_ERR_BUSY); /* a slow machine may not even begin it in time */
    EXPECT(result.elapsed_us >= 20 * 1000);
    shaker_request requests[2] = {ask(&up, PATIENCE_MS), ask(&mute, 20)};
    shaker_result results[2];
    EXPECT_EQ(shaker_check_many(checker, requests, 2, results), SHAKER_OK);
    EXPECT(results[0].status == SHAKER_OK && results[1].status == SHAKER_TIMEOUT);
  }
  workers--;
  return unused;
}

/* A wait to reap is as long as it was to be, however often it is interrupted. */
static void *reap(void *unused) {
  join_the_storm();
  shaker_result result;
  while (workers > 0) {
    shaker_request request = ask(&up, PATIENCE_MS);
    EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
    EXPECT_EQ(result.status, SHAKER_OK);
    long long before = now_ms();
    EXPECT_EQ(shaker_reap(checker, &result, 1, 50), 0);
    EXPECT(now_ms() - before >= 49);
  }
  return unused;
}

/* Named in the storm too, so that the resolver's threads are there. */
static void *resolve(void *unused) {
  join_the_storm();
  char name[32];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  while (workers > 0) {
    EXPECT_EQ(shaker_check_addr(checker, name, PATIENCE_MS, NULL), SHAKER_OK);
    pause_ms(1);
  }
  return unused;
}

int main(void) {
  enum { WORKERS = 3 };
  pthread_t worker[WORKERS];
  own = 1;
  sigemptyset(&storming);
  sigaddset(&storming, SIGUSR1);
  sigaddset(&storming, SIGALRM);
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  struct sigaction action = {.sa_handler = handle}; /* no SA_RESTART: waits are interrupted */
  sigemptyset(&action.sa_mask);
  NEED(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGALRM, &action, NULL) == 0);
  storm = 1;
  workers = WORKERS;
  pthread_t signaller = start(signal_the_process);
  struct itimerval often = {{0, 1000}, {0, 1000}};
  NEED(setitimer(ITIMER_REAL, &often, NULL) == 0);

  /* Threads are started in the storm as well. */
  checker = new_checker();
  for (int i = 0; i < WORKERS; i++) worker[i] = start(check);
  pthread_t reaper = start(reap), resolver = start(resolve);
  for (int round = 0; round < 20; round++) {
    shaker_checker *passing = new_checker();
    EXPECT_EQ(shaker_check_addr(passing, up.text, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_checker_free(passing), SHAKER_OK);
  }
  UNTIL(each_thread("shaker-resolver", NULL) > 0);
  EXPECT(each_thread("shaker-", blocks_all_but_faults) >= 2 && judged >= 2);
  for (int i = 0; i < WORKERS; i++) pthread_join(worker[i], NULL);
  pthread_join(reaper, NULL);
  pthread_join(resolver, NULL);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);

  /* With no thread of the program's own to take it, a signal waits: here for main to unblock it. */
  storm = 0;
  pthread_join(signaller, NULL);
  struct itimerval never = {{0, 0}, {0, 0}};
  NEED(setitimer(ITIMER_REAL, &never, NULL) == 0);
  EXPECT(handled > 100);
  checker = new_checker();
  sigset_t one, before, pending;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  NEED(pthread_sigmask(SIG_BLOCK, &one, &before) == 0);
  int until_now = handled;
  kill(getpid(), SIGUSR1);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(checker, mute.text, 100, NULL), SHAKER_TIMEOUT);
  NEED(sigpending(&pending) == 0);
  EXPECT(sigismember(&pending, SIGUSR1) == 1 && handled == until_now);
  NEED(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
  EXPECT_EQ(handled, until_now + 1);
  EXPECT_EQ(handled_elsewhere, 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
