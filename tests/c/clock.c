/* The wall clock is set forth and back by hours while checks are made: the program's own clock_gettime(2) says so to the
 * library. No verdict suffers, nothing ends early or late, and no round trip is longer than its check; and each watch of a
 * monitor beside is checked as often as it is told, and changes once.
 *
 *     clock socket|raw|driven|raw-driven */
#include "kinds.h"
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

/* Watches that are checked fifty times a second, while the clock is set for `for_ms`. */
static void watch(shaker_monitor *monitor, long long for_ms) {
  shaker_watch watches[2] = {{.addr = up.text, .interval_ms = 20}, {.addr = down.text, .interval_ms = 20}};
  uint64_t ids[2];
  shaker_change change;
  int changes[2] = {0, 0};
  watches[1].user_data = (void *)1;
  EXPECT_EQ(shaker_monitor_add(monitor, watches, 2, ids), SHAKER_OK);
  long long begun = now_ms();
  while (now_ms() < begun + for_ms || changes[0] + changes[1] < 2) {
    if (shaker_monitor_reap(monitor, &change, 1, 10) == 0) continue;
    size_t which = (size_t)change.user_data;
    changes[which]++;
    EXPECT_EQ(change.to, which == 0 ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
    accept_all(&up);
  }
  uint64_t lasted = (uint64_t)(now_ms() - begun);
  for (int i = 0; i < 2; i++) {
    shaker_watch_info info;
    EXPECT_EQ(changes[i], 1);
    EXPECT_EQ(shaker_monitor_get(monitor, ids[i], &info, sizeof info), SHAKER_OK);
    /* None is made early, and on a machine ten times slower a tenth of them. */
    EXPECT(info.checks <= lasted / 20 + 2 && info.checks >= lasted / 200);
  }
}

int main(int count, char **arguments) {
  NEED(count == 2);
  kind = arguments[1];
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  shaker_checker *checker = checker_of_kind(1);
  shaker_monitor *monitor = monitor_of(checker);
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
  watch(monitor, 1000);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  long long begun = now_ms();
  shaker_check_addr(checker, mute.text, 200, &result);
  is_sound(&result, SHAKER_TIMEOUT);
  EXPECT(now_ms() - begun >= 200);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  return outcome();
}
