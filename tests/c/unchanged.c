/* Whatever belongs to the whole process is after all use of the library what it was before. */
#include "process.h"
#include "target.h"

#include <locale.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

extern char **environ;

enum { SIGNALS = 65, LIMITS = 16 };

struct process {
  sigset_t mask;
  struct sigaction actions[SIGNALS];
  struct rlimit limits[LIMITS];
  stack_t signal_stack;
  mode_t mode_mask;
  char **environment;
  char environment_text[65536];
  char locale[1024];
  char directory[4096];
  char name[16];
  int nice;
  int dumpable;
  int inherits; /* descriptors that a new program would inherit */
};

static void look(struct process *now) {
  memset(now, 0, sizeof *now);
  NEED(pthread_sigmask(SIG_SETMASK, NULL, &now->mask) == 0);
  for (int i = 1; i < SIGNALS; i++) sigaction(i, NULL, &now->actions[i]);
  for (int i = 0; i < LIMITS; i++) getrlimit((__rlimit_resource_t)i, &now->limits[i]);
  NEED(sigaltstack(NULL, &now->signal_stack) == 0);
  now->mode_mask = umask(077);
  umask(now->mode_mask);
  now->environment = environ;
  size_t length = 0;
  for (char **variable = environ; *variable != NULL; variable++) {
    size_t room = sizeof now->environment_text - length;
    length += (size_t)snprintf(now->environment_text + length, room, "%s\n", *variable);
    NEED(length < sizeof now->environment_text);
  }
  snprintf(now->locale, sizeof now->locale, "%s", setlocale(LC_ALL, NULL));
  NEED(getcwd(now->directory, sizeof now->directory) != NULL);
  prctl(PR_GET_NAME, now->name);
  now->nice = getpriority(PRIO_PROCESS, 0);
  now->dumpable = prctl(PR_GET_DUMPABLE);
  for (int fd = 0; fd < 4096; fd++) {
    int flags = fcntl(fd, F_GETFD);
    now->inherits += flags >= 0 && (flags & FD_CLOEXEC) == 0;
  }
}

/* The C library fills only as much of the mask as there are signals. */
static int is_same_action(const struct sigaction *one, const struct sigaction *other) {
  int same = one->sa_handler == other->sa_handler && one->sa_flags == other->sa_flags;
  for (int i = 1; i < SIGNALS; i++) same &= sigismember(&one->sa_mask, i) == sigismember(&other->sa_mask, i);
  return same;
}

static void compare_with(const struct process *before, int line) {
  struct process now;
  int failures_before = failures;
  look(&now);
  EXPECT(memcmp(&now.mask, &before->mask, sizeof now.mask) == 0);
  for (int i = 1; i < SIGNALS; i++) EXPECT(is_same_action(&now.actions[i], &before->actions[i]));
  for (int i = 0; i < LIMITS; i++) EXPECT(memcmp(&now.limits[i], &before->limits[i], sizeof now.limits[i]) == 0);
  EXPECT(now.signal_stack.ss_sp == before->signal_stack.ss_sp);
  EXPECT_EQ(now.signal_stack.ss_flags, before->signal_stack.ss_flags);
  EXPECT_EQ(now.mode_mask, before->mode_mask);
  EXPECT(now.environment == before->environment);
  EXPECT(strcmp(now.environment_text, before->environment_text) == 0);
  EXPECT(strcmp(now.locale, before->locale) == 0);
  EXPECT(strcmp(now.directory, before->directory) == 0);
  EXPECT(strcmp(now.name, before->name) == 0);
  EXPECT_EQ(now.nice, before->nice);
  EXPECT_EQ(now.dumpable, before->dumpable);
  EXPECT_EQ(now.inherits, before->inherits);
  if (failures != failures_before) fprintf(stderr, "  as seen in line %d\n", line);
}

static void look_inside(const shaker_result *result, void *user_data) {
  (void)result;
  *(atomic_int *)user_data = 1;
}

static void use(const struct process *before, shaker_checker *checker, const struct target *up) {
  struct target down = dead(AF_INET), mute = silent();
  char name[32], text[256];
  atomic_int called = 0;
  shaker_result result;
  snprintf(name, sizeof name, "localhost:%u", ntohs(up->address.in.sin_port));
  EXPECT_EQ(shaker_check_addr(checker, up->text, PATIENCE_MS, &result), SHAKER_OK);
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(shaker_check_addr(checker, down.text, PATIENCE_MS, &result), SHAKER_REFUSED);
  shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(shaker_check_addr(checker, mute.text, 100, &result), SHAKER_TIMEOUT);
  EXPECT_EQ(shaker_check_addr(checker, name, PATIENCE_MS, &result), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(checker, "no such name.invalid:80", 1, NULL) < 0, 1);
  compare_with(before, __LINE__);
  shaker_request requests[4] = {ask(up, 0), ask(&down, 0), ask(&mute, 100 * PATIENCE_MS), ask(up, 0)};
  for (int i = 0; i < 4; i++) requests[i].flags = i % 2 ? SHAKER_LINGER : SHAKER_FULL_HANDSHAKE;
  requests[3].callback = look_inside;
  requests[3].user_data = &called;
  EXPECT(shaker_checker_fd(checker) >= 0);
  EXPECT_EQ(shaker_submit(checker, requests, 4, NULL), SHAKER_OK);
  UNTIL(called);
  EXPECT_EQ(shaker_reap(checker, &result, 1, PATIENCE_MS), 1);
  compare_with(before, __LINE__);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  close_target(&down);
  close_target(&mute);
}

int main(void) {
  static struct process before;
  struct target up = live(AF_INET);
  /* Nothing is at its default that the library might set to it. */
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGWINCH);
  NEED(sigaction(SIGHUP, &ignore, NULL) == 0 && pthread_sigmask(SIG_BLOCK, &some, NULL) == 0);
  umask(027);
  EXPECT(setlocale(LC_ALL, "C") != NULL);
  look(&before);
  EXPECT(before.actions[SIGPIPE].sa_handler == SIG_DFL);

  shaker_version();
  shaker_capabilities();
  shaker_checker *checker = new_checker();
  use(&before, checker, &up);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  compare_with(&before, __LINE__);
  checker = shaker_checker_default();
  NEED(checker != NULL);
  use(&before, checker, &up);
  compare_with(&before, __LINE__);
  close_target(&up);
  return outcome();
}
