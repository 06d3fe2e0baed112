/* A process that was started without its first descriptors: the library gets their numbers, and works as ever. The child
 * for each set-up has some of 0, 1 and 2 closed, an engine, and a loop's thread or none. */
#include "process.h"
#include "target.h"

static struct target up, down, mute;

enum { FIRST = 3, MANY = 40 };

static shaker_checker *checker_of(int raw, int driven) {
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  EXPECT_EQ(shaker_config_set_engine(config, raw ? SHAKER_ENGINE_RAW : SHAKER_ENGINE_SOCKET), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_caller_driven(config, driven), SHAKER_OK);
  EXPECT_EQ(shaker_config_set_timeout(config, PATIENCE_MS), SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);
  return checker;
}

static void check_every_way(shaker_checker *checker) {
  shaker_request requests[MANY];
  shaker_result results[MANY];
  char name[32];
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(checker, down.text, 0, NULL), SHAKER_REFUSED);
  EXPECT_EQ(shaker_check_addr(checker, mute.text, 100, NULL), SHAKER_TIMEOUT);
  EXPECT_EQ(shaker_check_addr(checker, name, 0, NULL), SHAKER_OK);
  for (int i = 0; i < MANY; i++) requests[i] = ask(i % 2 ? &up : &down, 0);
  EXPECT_EQ(shaker_check_many(checker, requests, MANY, results), SHAKER_OK);
  for (int i = 0; i < MANY; i++) EXPECT_EQ(results[i].status, i % 2 ? SHAKER_OK : SHAKER_REFUSED);
  int fd = shaker_checker_fd(checker);
  EXPECT(fd >= 0);
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  for (size_t left = MANY; left > 0;) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    EXPECT_EQ(poll(&waiting, 1, PATIENCE_MS), 1);
    size_t count = shaker_reap(checker, results, left, 0);
    for (size_t i = 0; i < count; i++) EXPECT(results[i].status == SHAKER_OK || results[i].status == SHAKER_REFUSED);
    left -= count;
  }
}

static void use(int closed, int raw, int driven) {
  for (int fd = 0; fd < FIRST; fd++) {
    if (closed & 1 << fd) close(fd);
  }
  int before = descriptors();
  shaker_checker *checker = checker_of(raw, driven);
  check_every_way(checker);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  EXPECT_EQ(descriptors(), before);
  for (int fd = 0; fd < FIRST; fd++) EXPECT_EQ(fcntl(fd, F_GETFD) < 0, (closed & 1 << fd) != 0);
}

int main(void) {
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  for (int setup = 0; setup < 32; setup++) {
    int closed = setup & 7, raw = setup >> 3 & 1, driven = setup >> 4;
    pid_t child = fork_child();
    if (child == 0) {
      failures = 0; /* those of the children before it are told already */
      /* What fails is told though descriptor 2 may be closed. */
      stderr = fdopen(dup(2), "w");
      NEED(stderr != NULL);
      use(closed, raw, driven);
      if (failures != 0) fprintf(stderr, "closed %d, raw %d, driven %d\n", closed, raw, driven);
      fflush(stderr);
      _exit(outcome());
    }
    EXPECT_EQ(wait_for(child), 0);
  }
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
