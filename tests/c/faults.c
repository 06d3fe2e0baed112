/* A fault in a callback, on the library's thread, reaches the program's crash handler, as one on any other thread does;
 * what is sent to the process from outside does not reach the library's threads. */
#include "process.h"
#include "target.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum { HANDLED = 42, HANDLED_ELSEWHERE = 43, WENT_ON = 44 };

static struct target up;
static pthread_t main_thread;

/* What a fault handler does: it tells somebody, and ends the process. */
static void crash(int signal) {
  (void)signal;
  _exit(pthread_equal(pthread_self(), main_thread) ? HANDLED_ELSEWHERE : HANDLED);
}

static char *page_beyond_the_end(void) {
  int fd = memfd_create("empty", MFD_CLOEXEC);
  NEED(fd >= 0);
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  NEED(page != MAP_FAILED);
  return page;
}

/* Bad accesses for SIGSEGV and SIGBUS; the others have no way to come about that all processors know. */
static void fault(int signal) {
  static char *volatile nowhere;
  if (signal == SIGSEGV) *nowhere = 1;
  if (signal == SIGBUS) *page_beyond_the_end() = 1;
  raise(signal);
}

static void faults(const shaker_result *result, void *user_data) {
  (void)result;
  fault(*(int *)user_data);
  _exit(WENT_ON);
}

/* Has a callback fault in a child of its own, for what is left of it. */
static int end_of_a_child_with(int signal, int with_name) {
  pid_t child = fork_child();
  if (child > 0) return wait_for(child);
  main_thread = pthread_self();
  struct sigaction action = {.sa_handler = crash};
  sigemptyset(&action.sa_mask);
  NEED(sigaction(signal, &action, NULL) == 0);
  char name[32];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  shaker_checker *checker = new_checker();
  shaker_request request = ask(&up, PATIENCE_MS);
  if (with_name) request.addr = name;
  request.callback = faults;
  request.user_data = &signal;
  NEED(shaker_submit(checker, &request, 1, NULL) == SHAKER_OK);
  pause_ms(PATIENCE_MS);
  _exit(WENT_ON);
}

static void a_fault_reaches_the_handler(void) {
  static const int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    for (int with_name = 0; with_name < 2; with_name++) {
      int end = end_of_a_child_with(all[i], with_name);
      if (end != HANDLED) fprintf(stderr, "signal %d: the child ended with %d\n", all[i], end);
      EXPECT_EQ(end, HANDLED);
    }
  }
}

/* Sent from outside, it is for a thread of the program's own: here main's, which takes it when it is ready to. */
static atomic_int taken_by_main, taken_elsewhere;

static void take(int signal) {
  (void)signal;
  if (pthread_equal(pthread_self(), main_thread)) {
    taken_by_main++;
  } else {
    taken_elsewhere++;
  }
}

static void count(const shaker_result *result, void *user_data) {
  EXPECT_EQ(result->status, SHAKER_OK);
  ++*(atomic_int *)user_data;
}

static void what_comes_from_outside_is_left_to_the_program(void) {
  static const int all[] = {SIGTERM, SIGINT, SIGALRM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGWINCH};
  enum { COUNT = sizeof all / sizeof *all };
  main_thread = pthread_self();
  shaker_checker *checker = new_checker();
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  struct sigaction action = {.sa_handler = take}, before[COUNT];
  sigset_t blocked, mask;
  sigemptyset(&action.sa_mask);
  sigemptyset(&blocked);
  for (int i = 0; i < COUNT; i++) {
    NEED(sigaction(all[i], &action, &before[i]) == 0);
    sigaddset(&blocked, all[i]);
  }
  NEED(pthread_sigmask(SIG_BLOCK, &blocked, &mask) == 0);
  for (int i = 0; i < COUNT; i++) NEED(kill(getpid(), all[i]) == 0);
  /* The loop wakes and works with all of them pending. */
  atomic_int calls = 0;
  shaker_request request = ask(&up, PATIENCE_MS);
  request.callback = count;
  request.user_data = &calls;
  for (int i = 0; i < 100; i++) EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  UNTIL(calls == 100);
  EXPECT_EQ(taken_by_main, 0);
  EXPECT_EQ(taken_elsewhere, 0);
  NEED(pthread_sigmask(SIG_SETMASK, &mask, NULL) == 0);
  EXPECT_EQ(taken_by_main, COUNT);
  EXPECT_EQ(taken_elsewhere, 0);
  for (int i = 0; i < COUNT; i++) NEED(sigaction(all[i], &before[i], NULL) == 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

int main(void) {
  up = live(AF_INET);
  a_fault_reaches_the_handler();
  what_comes_from_outside_is_left_to_the_program();
  close_target(&up);
  return outcome();
}
