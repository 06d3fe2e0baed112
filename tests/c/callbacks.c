/* What a callback may do, what it is refused, and that it runs exactly once, on the thread that drives the checker. */
#include "target.h"

#include <pthread.h>

static struct target up, down, mute;
static shaker_checker *checker, *other;
static pthread_t main_thread;
static atomic_int calls;

static void submit(const struct target *target, uint32_t timeout_ms, shaker_callback callback, void *user_data) {
  shaker_request request = ask(target, timeout_ms);
  request.callback = callback;
  request.user_data = user_data;
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
}

/* Each result once, on the thread that drives the checker, with what the request gave along. */
struct call {
  uint64_t id;
  atomic_int times;
  atomic_int status;
};

static void note(const shaker_result *result, void *user_data) {
  struct call *call = user_data;
  EXPECT(result->user_data == user_data);
  EXPECT_EQ(!pthread_equal(pthread_self(), main_thread), !is_driven());
  EXPECT_EQ(result->reserved, 0);
  call->id = result->id;
  call->status = result->status;
  call->times++;
  calls++;
}

static void once_each(void) {
  enum { MANY = 300 };
  static shaker_request requests[MANY];
  static struct call noted[MANY];
  static uint64_t ids[MANY];
  for (int i = 0; i < MANY; i++) {
    requests[i] = ask(i % 3 ? &up : &down, PATIENCE_MS);
    requests[i].callback = note;
    requests[i].user_data = &noted[i];
  }
  requests[7].addr = "nowhere";
  EXPECT_EQ(shaker_submit(checker, requests, MANY, ids), SHAKER_OK);
  UNTIL_CALLED(checker, calls == MANY);
  for (int i = 0; i < MANY; i++) {
    EXPECT_EQ(noted[i].times, 1);
    EXPECT_EQ(noted[i].id, ids[i]);
    EXPECT_EQ(noted[i].status, i == 7 ? SHAKER_ERR_ADDRESS : i % 3 ? SHAKER_OK : SHAKER_REFUSED);
  }
  shaker_result result;
  EXPECT_EQ(shaker_reap(checker, &result, 1, 0), 0);
}

/* A callback that submits the next check, a hundred times over. */
static void again(const shaker_result *result, void *user_data) {
  atomic_int *left = user_data;
  EXPECT_EQ(result->status, SHAKER_OK);
  if (--*left > 0) submit(&up, 0, again, user_data);
}

static void submits_another(void) {
  atomic_int left = 100;
  submit(&up, 0, again, &left);
  UNTIL_CALLED(checker, left == 0);
}

/* Mixed with results to reap: those of callbacks never come out of shaker_reap. */
static void reaps(const shaker_result *result, void *user_data) {
  shaker_result other_result;
  EXPECT_EQ(result->status, SHAKER_REFUSED);
  long long before = now_ms();
  size_t count = shaker_reap(checker, &other_result, 1, UINT32_MAX); /* does not wait here */
  EXPECT(now_ms() - before < PATIENCE_MS && count <= 1);
  *(atomic_int *)user_data += 1 + (int)count;
}

static void reaps_without_waiting(void) {
  atomic_int reaped = 0;
  submit(&down, 0, reaps, &reaped);
  UNTIL_CALLED(checker, reaped == 1);
  shaker_request plain = ask(&up, 0);
  EXPECT_EQ(shaker_submit(checker, &plain, 1, NULL), SHAKER_OK);
  UNTIL(stats_of(checker).in_flight + stats_of(checker).queued == 0);
  reaped = 0;
  submit(&down, 0, reaps, &reaped);
  UNTIL_CALLED(checker, reaped >= 1);
  shaker_result result;
  EXPECT_EQ(shaker_reap(checker, &result, 1, 0), 2 - reaped);
}

static void blocks(const shaker_result *result, void *user_data) {
  shaker_request request = ask(&up, 0);
  request.user_data = user_data;
  shaker_result own;
  (void)result;
  memset(&own, 0xAA, sizeof own);
  EXPECT_EQ(shaker_check(checker, &request, &own), SHAKER_ERR_DEADLOCK);
  EXPECT(own.status == SHAKER_ERR_DEADLOCK && own.user_data == user_data && own.reserved == 0);
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, &own), SHAKER_ERR_DEADLOCK);
  EXPECT_EQ(shaker_check_sockaddr(checker, &up.address.sa, up.length, 0, &own), SHAKER_ERR_DEADLOCK);
  memset(&own, 0xAA, sizeof own);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, &own), SHAKER_ERR_DEADLOCK);
  for (size_t i = 0; i < sizeof own; i++) EXPECT(((unsigned char *)&own)[i] == 0xAA);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_ERR_DEADLOCK);
  /* What does not block is no matter, and neither is another checker. */
  stats_of(checker);
  EXPECT_EQ(shaker_cancel(checker, UINT64_MAX), SHAKER_OK);
  EXPECT(shaker_checker_fd(checker) >= 0);
  EXPECT_EQ(shaker_check_addr(other, up.text, PATIENCE_MS, NULL), SHAKER_OK);
  calls++;
}

static void is_refused_to_block(void) {
  uint64_t before = stats_of(checker).submitted;
  calls = 0;
  submit(&up, 0, blocks, &calls);
  UNTIL_CALLED(checker, calls == 1);
  EXPECT_EQ(stats_of(checker).submitted, before + 1);
  EXPECT_EQ(shaker_check_addr(checker, up.text, 0, NULL), SHAKER_OK); /* nothing was freed */
}

/* Cancels a check that waits for a silent target. */
static void cancels(const shaker_result *result, void *user_data) {
  (void)result;
  EXPECT_EQ(shaker_cancel(checker, *(uint64_t *)user_data), SHAKER_OK);
}

static void cancels_another(void) {
  struct call waiting = {0}, bystander = {0};
  shaker_request requests[2] = {ask(&mute, 10 * PATIENCE_MS), ask(&mute, 10 * PATIENCE_MS)};
  uint64_t ids[2];
  requests[0].callback = requests[1].callback = note;
  requests[0].user_data = &waiting;
  requests[1].user_data = &bystander;
  EXPECT_EQ(shaker_submit(checker, requests, 2, ids), SHAKER_OK);
  submit(&up, 0, cancels, &ids[0]);
  UNTIL_CALLED(checker, waiting.times == 1);
  EXPECT_EQ(waiting.status, SHAKER_ERR_CANCELLED);
  EXPECT_EQ(bystander.times, 0);
  uint64_t all = 0;
  submit(&up, 0, cancels, &all);
  UNTIL_CALLED(checker, bystander.times == 1);
  EXPECT_EQ(bystander.status, SHAKER_ERR_CANCELLED);
}

static void frees_another(const shaker_result *result, void *user_data) {
  (void)result;
  EXPECT_EQ(shaker_checker_free(other), SHAKER_OK);
  *(atomic_int *)user_data = 1;
}

static void may_free_another_checker(void) {
  atomic_int freed = 0;
  submit(&up, 0, frees_another, &freed);
  UNTIL_CALLED(checker, freed == 1);
}

/* The last callback shuts the checker down; every other check still yields its result. */
static void shuts_down(const shaker_result *result, void *user_data) {
  shaker_request request = ask(&up, 0);
  request.callback = note;
  note(result, user_data);
  shaker_checker_shutdown(checker);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_ERR_CLOSED);
  EXPECT(shaker_check(checker, &request, NULL) < 0);
}

static void shuts_its_checker_down(void) {
  struct call waiting = {0}, last = {0};
  shaker_result result;
  shaker_request plain = ask(&mute, 10 * PATIENCE_MS);
  uint64_t id = 0;
  submit(&mute, 10 * PATIENCE_MS, note, &waiting);
  EXPECT_EQ(shaker_submit(checker, &plain, 1, &id), SHAKER_OK);
  submit(&up, 0, shuts_down, &last);
  UNTIL_CALLED(checker, waiting.times == 1);
  EXPECT_EQ(waiting.status, SHAKER_ERR_CLOSED);
  EXPECT(last.times == 1 && last.status == SHAKER_OK);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
  EXPECT(result.id == id && result.status == SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
}

/* Free ends every check through its callback, and none runs after it. */
static void free_calls_back_first(void) {
  enum { MANY = 50 };
  static struct call noted[MANY];
  checker = new_checker();
  calls = 0;
  for (int i = 0; i < MANY; i++) submit(&mute, 10 * PATIENCE_MS, note, &noted[i]);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  EXPECT_EQ(calls, MANY);
  for (int i = 0; i < MANY; i++) EXPECT(noted[i].times == 1 && noted[i].status == SHAKER_ERR_CLOSED);
}

int main(void) {
  main_thread = pthread_self();
  up = live(AF_INET);
  down = dead(AF_INET);
  mute = silent();
  checker = new_checker();
  other = new_checker();
  once_each();
  submits_another();
  reaps_without_waiting();
  is_refused_to_block();
  cancels_another();
  may_free_another_checker();
  shuts_its_checker_down();
  free_calls_back_first();
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
