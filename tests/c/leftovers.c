/* Nothing is left after the last free, no thread and no descriptor; and while there are descriptors, a program that
 * is executed inherits none of them. */
#include "process.h"
#include "target.h"


static struct target up, down, mute;
static int inheritable_before;

/* How many descriptors a program that is executed would inherit. */
static int inheritable(void) {
  int count = 0;
  for (int fd = 0; fd < 4096; fd++) {
    int flags = fcntl(fd, F_GETFD);
    count += flags >= 0 && (flags & FD_CLOEXEC) == 0;
  }
  return count;
}

static void use(uint32_t loops) {
  enum { MANY = 60 };
  shaker_request requests[MANY];
  shaker_result results[MANY];
  char name[32];
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  EXPECT_EQ(shaker_config_set_threads(config, loops), SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);
  snprintf(name, sizeof name, "localhost:%u", ntohs(up.address.in.sin_port));
  EXPECT(shaker_checker_fd(checker) >= 0);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(checker, name, PATIENCE_MS, NULL), SHAKER_OK);
  for (int i = 0; i < MANY; i++) {
    requests[i] = ask(i % 3 == 0 ? &up : i % 3 == 1 ? &down : &mute, 50);
    requests[i].flags = i % 4 == 0 ? SHAKER_FULL_HANDSHAKE : i % 4 == 1 ? SHAKER_LINGER : 0;
  }
  EXPECT_EQ(shaker_check_many(checker, requests, MANY, results), SHAKER_OK);
  for (int i = 0; i < MANY; i++) requests[i].timeout_ms = 100 * PATIENCE_MS;
  requests[0].addr = name;
  EXPECT_EQ(shaker_submit(checker, requests, MANY, NULL), SHAKER_OK);
  UNTIL(stats_of(checker).in_flight == MANY / 3);
  EXPECT(each_thread("shaker-loop", NULL) == (int)loops && each_thread("shaker-", NULL) > (int)loops);
  EXPECT_EQ(inheritable(), inheritable_before);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

int main(void) {
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  inheritable_before = inheritable();
  int threads_before = threads(), descriptors_before = descriptors();
  for (int round = 0; round < 4; round++) {
    use(1 + (uint32_t)round % 3);
    EXPECT_EQ(descriptors(), descriptors_before);
    UNTIL(threads() == threads_before); /* one that was joined may be in /proc a moment longer */
  }

  /* Several at once, freed in another order. */
  shaker_checker *several[3] = {new_checker(), new_checker(), new_checker()};
  for (int i = 0; i < 3; i++) EXPECT_EQ(shaker_check_addr(several[i], up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(several[1]), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(several[2], up.text, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(several[0]), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(several[2], down.text, PATIENCE_MS, NULL), SHAKER_REFUSED);
  EXPECT_EQ(shaker_checker_free(several[2]), SHAKER_OK);
  EXPECT_EQ(descriptors(), descriptors_before);
  UNTIL(threads() == threads_before);
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
