/* The wall clock is set forth and back by hours while checks are made: the program's own clock_gettime(2) says so to the
 * library. No verdict suffers, nothing ends early or late, and no round trip is longer than its check.
 *
 *     clock socket|raw|driven */
#include "process.h"
#include "target.h"

#include <dlfcn.h>

static atomic_int steps; /* whether the wall clock is being set, and how often it was */

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (steps > 0 && clock != CLOCK_MONOTONIC) now->tv_sec += (steps++ % 5 - 2) * 3600;
  return result;
}

enum { ROUNDS = 200, MANY = 40 };

static struct target up, down, mute;

static void is_sound(const shaker_result *result, int truth) {
  EXPECT_EQ(result->status, truth);
  EXPECT(result->elapsed_us < PATIENCE_MS * 1000ULL);
  EXPECT(result->rtt_us <= result->elapsed_us + 1000);
  EXPECT(result->rtt_us == 0 || result->status == SHAKER_OK);
}

int main(int count, char **arguments) {
  NEED(count == 2);
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  NEED(strcmp(arguments[1], "raw") != 0 || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  NEED(shaker_config_set_caller_driven(config, strcmp(arguments[1], "driven") == 0) == SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);
  steps = 1;
  shaker_request requests[MANY];
  shaker_result results[MANY], result;
  for (int i = 0; i < MANY; i++) requests[i] = ask(i % 2 == 0 ? &up : &down, PATIENCE_MS);
  for (int round = 0; round < ROUNDS; round++) {
    EXPECT_EQ(shaker_check_many(checker, requests, MANY, results), SHAKER_OK);
    for (int i = 0; i < MANY; i++) is_sound(&results[i], i % 2 == 0 ? SHAKER_OK : SHAKER_REFUSED);
    shaker_check_addr(checker, up.text, PATIENCE_MS, &result);
    is_sound(&result, SHAKER_OK);
    accept_all(&up); /* where no ACK can be withheld the queue would be full soon */
  }
  long long begun = now_ms();
  shaker_check_addr(checker, mute.text, 200, &result);
  is_sound(&result, SHAKER_TIMEOUT);
  EXPECT(now_ms() - begun >= 200);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  return outcome();
}
