/* A host that closes all descriptors from 3 on, as daemons do, after it has made a checker, and has others by then:
 *
 *     descriptors_taken socket|raw|driven|raw-driven
 *
 * Each check has the true verdict or none; nobody hangs, and no loop spins. */
#include "kinds.h"
#include "process.h"
#include "target.h"

/* A loop with nothing to do wakes after a minute, and then never. */
enum { CHECKS = 20, SILENCE_MS = 1000, SWEEP_MS = 60000, MANY = 4096 };

static struct target up, down;

/* Up or refused, as it is; or no verdict. */
static void is_no_lie(int status, int truth) {
  if (status >= 0) EXPECT_EQ(status, truth);
}

static long long cpu_ms(void) {
  struct timespec used;
  NEED(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) == 0);
  return used.tv_sec * 1000LL + used.tv_nsec / 1000000;
}

static int awake;

static void count_awake(const char *id) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/self/task/%s/stat", id);
  read_text(path, text, sizeof text);
  const char *end_of_name = strrchr(text, ')');
  awake += end_of_name == NULL || end_of_name[2] != 'S';
}

/* What was left for a loop that is about to wake up is lost with its descriptors. */
static int loops_sleep(void) {
  awake = 0;
  each_thread("shaker-loop", count_awake);
  return awake == 0;
}

/* Closed alone they would end a debug build: Rust's own library finds out that its descriptors are not there. */
static void take_descriptors(void) {
  int mine = open("/dev/null", O_RDONLY | O_CLOEXEC);
  NEED(mine >= 0);
  for (int fd = 3; fd < MANY; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) NEED(dup2(mine, fd) == fd);
  }
}

static int host(void) {
  shaker_checker *checker = checker_of_kind(2);
  shaker_request requests[2] = {ask(&up, 0), ask(&down, 0)};
  shaker_result results[CHECKS];
  requests[0].user_data = &up, requests[1].user_data = &down;
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_many(checker, requests, 2, results), SHAKER_OK);
  UNTIL(loops_sleep());
  take_descriptors();

  for (int i = 0; i < CHECKS; i++) {
    is_no_lie(shaker_check_addr(checker, up.text, 500, NULL), SHAKER_OK);
    is_no_lie(shaker_check_addr(checker, down.text, 500, NULL), SHAKER_REFUSED);
  }
  size_t reaped = 0, submitted = 0;
  for (int i = 0; i < CHECKS; i++) submitted += shaker_submit(checker, &requests[i % 2], 1, NULL) == SHAKER_OK;
  long long give_up = now_ms() + PATIENCE_MS;
  while (reaped < submitted && now_ms() < give_up) {
    reaped += shaker_reap(checker, results + reaped, submitted - reaped, 1000);
  }
  EXPECT_EQ(reaped, submitted);
  for (size_t i = 0; i < reaped; i++)
    is_no_lie(results[i].status, results[i].user_data == &up ? SHAKER_OK : SHAKER_REFUSED);
  long long before = cpu_ms();
  pause_ms(SILENCE_MS);
  EXPECT(cpu_ms() - before < SILENCE_MS / 2);
  long long begun = now_ms();
  shaker_checker_free(checker);
  EXPECT(now_ms() - begun < SWEEP_MS / 2);
  return outcome();
}

int main(int count, char **arguments) {
  NEED(count == 2);
  kind = arguments[1];
  up = live(AF_INET), down = dead(AF_INET);
  pid_t child = fork_child();
  if (child == 0) _exit(host());
  EXPECT_EQ(wait_for(child), 0);
  return outcome();
}
