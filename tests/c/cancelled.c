/* The program cancels its own threads while they are in the library: no call is torn apart. It comes back, and the
 * thread ends at its own next cancellation point. */
#include "process.h"
#include "target.h"

#include <pthread.h>

static shaker_checker *checker;
static struct target mute;
static char name[64]; /* the same target by a name, which is looked up first */
static atomic_int came_back, went_on;
static uint64_t completed; /* handshakes, by the checkers' own count */
static shaker_result result;

static void check_addr(void) {
  EXPECT_EQ(shaker_check_addr(checker, mute.text, PATIENCE_MS, &result), SHAKER_ERR_CANCELLED);
}

static void check_name(void) {
  EXPECT_EQ(shaker_check_addr(checker, name, PATIENCE_MS, &result), SHAKER_ERR_CANCELLED);
}

static void check_many(void) {
  shaker_request requests[3] = {ask(&mute, PATIENCE_MS), ask(&mute, PATIENCE_MS), ask(&mute, PATIENCE_MS)};
  shaker_result results[3];
  EXPECT_EQ(shaker_check_many(checker, requests, 3, results), SHAKER_OK);
  for (int i = 0; i < 3; i++) EXPECT_EQ(results[i].status, SHAKER_ERR_CANCELLED);
}

static void reap(void) {
  shaker_request request = ask(&mute, PATIENCE_MS);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
  EXPECT_EQ(result.status, SHAKER_ERR_CANCELLED);
}

static void *call_and_go_on(void *call) {
  ((void (**)(void))call)[0]();
  came_back = 1;
  pthread_testcancel();
  went_on = 1;
  return NULL;
}

/* Cancelled in the middle of a call that waits. */
static void waits(void (*call)(void), unsigned in_flight) {
  pthread_t thread;
  void *end = NULL;
  came_back = went_on = 0;
  NEED(pthread_create(&thread, NULL, call_and_go_on, &call) == 0);
  UNTIL(stats_of(checker).in_flight == in_flight);
  pause_ms(20); /* most likely it sleeps by now; it must come back from wherever it is */
  NEED(pthread_cancel(thread) == 0);
  pause_ms(50);
  EXPECT(!came_back);
  EXPECT_EQ(stats_of(checker).in_flight, in_flight);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  NEED(pthread_join(thread, &end) == 0);
  EXPECT(came_back && !went_on);
  EXPECT(end == PTHREAD_CANCELED);
}

/* Cancelled before the call: the library is no cancellation point. */
static void *cancel_oneself_and_call(void *up) {
  shaker_request request = ask(up, PATIENCE_MS);
  shaker_checker *own = NULL;
  NEED(pthread_cancel(pthread_self()) == 0);
  EXPECT_EQ(shaker_check_addr(checker, request.addr, PATIENCE_MS, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, &result), SHAKER_OK);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_reap(checker, &result, 1, PATIENCE_MS), 1);
  EXPECT_EQ(shaker_checker_new(NULL, &own), SHAKER_OK);
  EXPECT_EQ(shaker_check_addr(own, request.addr, PATIENCE_MS, NULL), SHAKER_OK);
  completed += stats_of(own).completed_handshakes;
  EXPECT_EQ(shaker_checker_free(own), SHAKER_OK);
  came_back = 1;
  pthread_testcancel();
  went_on = 1;
  return NULL;
}

static void passes_through(struct target *up) {
  pthread_t thread;
  void *end = NULL;
  came_back = went_on = 0;
  NEED(pthread_create(&thread, NULL, cancel_oneself_and_call, up) == 0);
  NEED(pthread_join(thread, &end) == 0);
  EXPECT(came_back && !went_on);
  EXPECT(end == PTHREAD_CANCELED);
}

/* Whatever a thread has decided about its cancellation holds after a call as before. */
static void is_left_as_it_was(const struct target *up) {
  int before;
  for (int state = 0; state < 2; state++) {
    int wanted = state == 0 ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
    NEED(pthread_setcancelstate(wanted, NULL) == 0);
    EXPECT_EQ(shaker_check_addr(checker, up->text, PATIENCE_MS, NULL), SHAKER_OK);
    NEED(pthread_setcancelstate(wanted, &before) == 0);
    EXPECT_EQ(before, wanted);
  }
}

int main(void) {
  struct target up = live(AF_INET);
  mute = silent();
  snprintf(name, sizeof name, "localhost:%u", ntohs(mute.address.in.sin_port));
  checker = new_checker();
  for (int round = 0; round < 3; round++) {
    waits(check_addr, 1);
    waits(check_many, 3);
    waits(reap, 1);
    waits(check_name, 1);
    passes_through(&up);
    is_left_as_it_was(&up);
  }
  /* The checker is as good as new. */
  EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  shaker_stats stats = stats_of(checker);
  EXPECT_EQ(stats.in_flight, 0);
  EXPECT_EQ(stats.queued, 0);
  completed += stats.completed_handshakes;
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  uint64_t arrived = (uint64_t)accept_all(&up);
  EXPECT(arrived <= completed && (arrived > 0 || withholds_ack()));
  UNTIL(threads() == 1);
  close_target(&up);
  close_target(&mute);
  return outcome();
}
