/* Shutdown, cancel and free while other threads wait: everybody wakes, and nobody's result is lost. */
#include "target.h"

#include <pthread.h>

enum { EACH = 4, LISTED = 3, SUBMITTED = 5 };

static struct target up, mute;
static shaker_checker *checker;
static atomic_int reaped, ended;
static shaker_status expected;

/* Two billion milliseconds: nobody wakes from these because time is up. */
static const uint32_t FOREVER = 2000000000;

static void *check(void *unused) {
  shaker_result result;
  EXPECT_EQ(shaker_check_addr(checker, mute.text, FOREVER, &result), expected);
  EXPECT_EQ(result.status, expected);
  ended++;
  return unused;
}

static void *check_many(void *unused) {
  shaker_request requests[LISTED];
  shaker_result results[LISTED];
  for (int i = 0; i < LISTED; i++) requests[i] = ask(&mute, FOREVER);
  EXPECT_EQ(shaker_check_many(checker, requests, LISTED, results), SHAKER_OK);
  for (int i = 0; i < LISTED; i++) EXPECT_EQ(results[i].status, expected);
  ended++;
  return unused;
}

static void *reap(void *unused) {
  shaker_result results[2];
  for (size_t count; (count = shaker_reap(checker, results, 2, UINT32_MAX)) > 0;) {
    for (size_t i = 0; i < count; i++) EXPECT_EQ(results[i].status, expected);
    reaped += (int)count;
  }
  ended++;
  return unused;
}

static void start(pthread_t *threads, void *(*body)(void *)) {
  for (int i = 0; i < EACH; i++) NEED(pthread_create(&threads[i], NULL, body, NULL) == 0);
}

static void join(pthread_t *threads, int count) {
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static void submit(void) {
  shaker_request requests[SUBMITTED];
  for (int i = 0; i < SUBMITTED; i++) requests[i] = ask(&mute, FOREVER);
  EXPECT_EQ(shaker_submit(checker, requests, SUBMITTED, NULL), SHAKER_OK);
}

/* Whether every check of a round is accepted, and waits for its silent target. */
static int all_wait(uint64_t waiting, uint64_t submitted_before) {
  shaker_stats stats = stats_of(checker);
  return stats.in_flight == waiting && stats.submitted == submitted_before + waiting;
}

static void wakes_everybody(uint32_t loops) {
  const uint64_t waiting = EACH + EACH * LISTED + SUBMITTED;
  pthread_t threads[3 * EACH];
  shaker_config *config = new_config();
  EXPECT_EQ(shaker_config_set_threads(config, loops), SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);

  /* First by cancelling, which leaves the checker at work. The reapers go on waiting. */
  expected = SHAKER_ERR_CANCELLED;
  reaped = ended = 0;
  start(threads, check);
  start(threads + EACH, check_many);
  start(threads + 2 * EACH, reap);
  submit();
  UNTIL(all_wait(waiting, 0));
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  join(threads, 2 * EACH);
  UNTIL(reaped == SUBMITTED);
  EXPECT_EQ(ended, 2 * EACH);
  EXPECT_EQ(stats_of(checker).err_cancelled, waiting);
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);

  /* Then by shutting down. */
  expected = SHAKER_ERR_CLOSED;
  start(threads, check);
  start(threads + EACH, check_many);
  submit();
  UNTIL(all_wait(waiting, waiting + 1));
  shaker_checker_shutdown(checker);
  join(threads, 3 * EACH);
  EXPECT_EQ(ended, 5 * EACH);
  EXPECT_EQ(reaped, 2 * SUBMITTED);
  EXPECT_EQ(stats_of(checker).err_closed, waiting);
  EXPECT_EQ(stats_of(checker).in_flight, 0);

  /* A checker that was shut down says so, again and again. */
  shaker_request request = ask(&up, 0);
  shaker_result result;
  uint64_t id = 0;
  shaker_checker_shutdown(checker);
  EXPECT_EQ(shaker_check(checker, &request, &result), SHAKER_ERR_CLOSED);
  EXPECT_EQ(result.status, SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, NULL), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_check_sockaddr(checker, &up.address.sa, up.length, 0, NULL), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, NULL), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_submit(checker, &request, 1, &id), SHAKER_ERR_CLOSED);
  EXPECT_EQ(id, 0);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_cancel(checker, 1), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Results that were there before the shutdown can be reaped after it, and left when the checker is freed. */
static void keeps_what_was_reported(int reap_them) {
  shaker_request requests[3] = {ask(&up, 0), ask(&mute, FOREVER), ask(&up, 0)};
  shaker_result results[4];
  checker = new_checker();
  EXPECT_EQ(shaker_submit(checker, requests, 3, NULL), SHAKER_OK);
  UNTIL(stats_of(checker).up == 2);
  shaker_checker_shutdown(checker);
  int up_ones = 0, closed = 0;
  while (reap_them) {
    size_t count = shaker_reap(checker, results, 4, UINT32_MAX);
    if (count == 0) break;
    for (size_t i = 0; i < count; i++) {
      up_ones += results[i].status == SHAKER_OK;
      closed += results[i].status == SHAKER_ERR_CLOSED;
    }
  }
  EXPECT(!reap_them || (up_ones == 2 && closed == 1));
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Every call from many threads at once, until the checker is shut down under them. */
static void *anything(void *unused) {
  shaker_request requests[3] = {ask(&up, 0), {.addr = "nowhere"}, ask(&up, 0)};
  shaker_result results[8];
  uint64_t ids[3];
  shaker_status status;
  do {
    status = shaker_check_addr(checker, up.text, PATIENCE_MS, NULL);
    EXPECT(status == SHAKER_OK || status == SHAKER_ERR_CLOSED || status == SHAKER_ERR_CANCELLED);
    status = shaker_check_many(checker, requests, 3, results);
    EXPECT(status == SHAKER_OK || status == SHAKER_ERR_CLOSED);
    stats_of(checker);
    EXPECT(shaker_checker_fd(checker) >= 0);
    shaker_reap(checker, results, 8, 0);
    shaker_cancel(checker, ended % 16 == 0 ? 0 : (uint64_t)ended);
    ended++;
    status = shaker_submit(checker, requests, 3, ids);
    EXPECT(status == SHAKER_OK || status == SHAKER_ERR_CLOSED);
  } while (status != SHAKER_ERR_CLOSED);
  return unused;
}

static void under_everybodys_hands(void) {
  pthread_t threads[EACH];
  checker = new_checker();
  ended = 0;
  start(threads, anything);
  UNTIL(ended > 100);
  shaker_checker_shutdown(checker);
  join(threads, EACH);
  shaker_result result;
  uint64_t left = 0;
  while (shaker_reap(checker, &result, 1, UINT32_MAX) == 1) left++;
  shaker_stats stats = stats_of(checker);
  EXPECT(left <= stats.submitted && stats.in_flight == 0 && stats.queued == 0);
  EXPECT_EQ(stats.submitted, stats.up + stats.err_address + stats.err_cancelled + stats.err_closed);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

int main(void) {
  up = live(AF_INET);
  mute = silent();
  wakes_everybody(1);
  wakes_everybody(3);
  keeps_what_was_reported(1);
  keeps_what_was_reported(0);
  under_everybodys_hands();
  close_target(&up);
  close_target(&mute);
  return outcome();
}
