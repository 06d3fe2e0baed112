/* What comes back: the whole result, the request's own user_data, ids, counters, and the descriptor. */
#include "target.h"

static struct target up, down, mute;

/* Whether the address is the target's, in every field that counts. */
static int is_address_of(const shaker_address *address, const struct target *target) {
  if (target->address.sa.sa_family == AF_INET) {
    return address->in.sin_family == AF_INET && address->in.sin_port == target->address.in.sin_port &&
           address->in.sin_addr.s_addr == target->address.in.sin_addr.s_addr;
  }
  return address->in6.sin6_family == AF_INET6 && address->in6.sin6_port == target->address.in6.sin6_port &&
         memcmp(&address->in6.sin6_addr, &target->address.in6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

static void whole(const shaker_result *result, const struct target *target, shaker_status status, void *user_data) {
  EXPECT_EQ(result->status, status);
  EXPECT(result->user_data == user_data);
  EXPECT(is_address_of(&result->address, target));
  EXPECT_EQ(result->os_error, status == SHAKER_REFUSED ? ECONNREFUSED : 0);
  EXPECT((result->rtt_us > 0) == (status == SHAKER_OK));
  EXPECT((result->flags & ~(uint32_t)SHAKER_HALF_OPEN) == 0);
  EXPECT(status == SHAKER_OK || result->flags == 0);
  EXPECT(result->elapsed_us < 2 * PATIENCE_MS * 1000ull);
  EXPECT_EQ(result->reserved, 0);
}

static void blocking(shaker_checker *checker) {
  int mark = 0;
  const struct target *targets[] = {&up, &down, &mute};
  const shaker_status expected[] = {SHAKER_OK, SHAKER_REFUSED, SHAKER_TIMEOUT};
  shaker_request requests[3];
  shaker_result result, results[3];
  for (int i = 0; i < 3; i++) {
    const uint32_t timeout_ms = i == 2 ? 100 : PATIENCE_MS;
    requests[i] = ask(targets[i], timeout_ms);
    requests[i].user_data = &mark + i;
    memset(&result, 0xAA, sizeof result);
    EXPECT_EQ(shaker_check(checker, &requests[i], &result), expected[i]);
    whole(&result, targets[i], expected[i], &mark + i);
    EXPECT_EQ(result.id, 0);
    EXPECT(i != 2 || result.elapsed_us >= 100 * 1000);
    memset(&result, 0xAA, sizeof result);
    EXPECT_EQ(shaker_check_addr(checker, targets[i]->text, timeout_ms, &result), expected[i]);
    whole(&result, targets[i], expected[i], NULL);
    EXPECT_EQ(result.id, 0);
    memset(&result, 0xAA, sizeof result);
    const struct sockaddr *address = &targets[i]->address.sa;
    EXPECT_EQ(shaker_check_sockaddr(checker, address, targets[i]->length, timeout_ms, &result), expected[i]);
    whole(&result, targets[i], expected[i], NULL);
    EXPECT_EQ(shaker_check(checker, &requests[i], NULL), expected[i]);
  }

  /* In the order of the requests, although the first answers last. */
  shaker_request reversed[3] = {requests[2], requests[1], requests[0]};
  memset(results, 0xAA, sizeof results);
  EXPECT_EQ(shaker_check_many(checker, reversed, 3, results), SHAKER_OK);
  for (int i = 0; i < 3; i++) {
    whole(&results[2 - i], targets[i], expected[i], &mark + i);
    EXPECT_EQ(results[2 - i].id, 0);
  }
  EXPECT_EQ(shaker_check_many(checker, reversed, 3, NULL), SHAKER_OK);
}

static void submitted(shaker_checker *checker) {
  enum { MANY = 600 };
  static shaker_request requests[MANY];
  static shaker_result results[MANY + 1];
  static uint64_t ids[MANY];
  static char marks[MANY];
  static int seen[MANY];
  for (int i = 0; i < MANY; i++) {
    requests[i] = ask(i % 2 ? &up : &down, UINT32_MAX);
    requests[i].user_data = &marks[i];
  }
  /* Two batches, whose ids must not meet. */
  EXPECT_EQ(shaker_submit(checker, requests, MANY / 2, ids), SHAKER_OK);
  EXPECT_EQ(shaker_submit(checker, requests + MANY / 2, MANY / 2, ids + MANY / 2), SHAKER_OK);
  memset(requests, 0xAA, sizeof requests); /* not needed any more */
  size_t reaped = 0;
  while (reaped < MANY) {
    memset(results, 0xAA, sizeof results);
    size_t count = shaker_reap(checker, results, 7, PATIENCE_MS);
    EXPECT(count > 0 && count <= 7);
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) {
      size_t which = (size_t)((char *)results[i].user_data - marks);
      EXPECT(which < MANY);
      if (which >= MANY) return;
      EXPECT_EQ(results[i].id, ids[which]);
      whole(&results[i], which % 2 ? &up : &down, which % 2 ? SHAKER_OK : SHAKER_REFUSED, &marks[which]);
      EXPECT_EQ(seen[which]++, 0);
    }
    unsigned char *next = (unsigned char *)&results[count];
    for (size_t i = 0; i < sizeof results[count]; i++) EXPECT(next[i] == 0xAA);
    reaped += count;
  }
  EXPECT_EQ(shaker_reap(checker, results, MANY, 0), 0);
  long long before = now_ms();
  EXPECT_EQ(shaker_reap(checker, results, MANY, 50), 0);
  EXPECT(now_ms() - before >= 49);
  for (int i = 0; i < MANY; i++) {
    EXPECT(ids[i] != 0);
    for (int other = 0; other < i; other++) EXPECT(ids[i] != ids[other]);
  }
}

static int is_readable(int fd) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  return poll(&waiting, 1, 0) == 1;
}

static void descriptor(shaker_checker *checker) {
  int fd = shaker_checker_fd(checker);
  EXPECT(fd >= 0 && fd == shaker_checker_fd(checker));
  EXPECT(!is_readable(fd));
  shaker_request requests[3] = {ask(&up, 0), ask(&down, 0), ask(&up, 0)};
  shaker_result results[3];
  EXPECT_EQ(shaker_submit(checker, requests, 3, NULL), SHAKER_OK);
  UNTIL(stats_of(checker).in_flight + stats_of(checker).queued == 0 && is_readable(fd));
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  for (size_t left = 3; left > 0;) {
    EXPECT_EQ(poll(&waiting, 1, PATIENCE_MS), 1);
    size_t count = shaker_reap(checker, results, 1, 0);
    /* That of a caller-driven checker also tells that there is something to do. */
    EXPECT(count == 1 || is_driven());
    if (count == 0 && !is_driven()) return;
    left -= count;
  }
  EXPECT(!is_readable(fd));
  EXPECT_EQ(shaker_checker_fd(checker), fd);
}

/* A program that was compiled with an older or a newer header. */
static void counters(shaker_checker *checker) {
  struct {
    shaker_stats stats;
    uint64_t later[4];
    uint64_t beyond;
  } grown;
  const unsigned char *bytes = (const unsigned char *)&grown;
  shaker_stats now = stats_of(checker);
  EXPECT(now.submitted > 600 && now.up > 300 && now.refused > 300 && now.timed_out > 3);
  EXPECT(now.in_flight == 0 && now.queued == 0 && now.err_invalid == 0);
  EXPECT_EQ(now.submitted, now.up + now.timed_out + now.refused + now.unreachable + now.err_address + now.err_resolve +
                             now.err_local + now.err_cancelled + now.err_closed + now.err_busy + now.err_unsupported +
                             now.err_internal);
  for (size_t size = 1; size <= sizeof grown; size++) {
    memset(&grown, 0xAA, sizeof grown);
    EXPECT_EQ(shaker_checker_stats(checker, &grown.stats, size), SHAKER_OK);
    EXPECT(memcmp(&grown, &now, size < sizeof now ? size : sizeof now) == 0);
    for (size_t i = sizeof now; i < size; i++) EXPECT(bytes[i] == 0);
    for (size_t i = size; i < sizeof grown; i++) EXPECT(bytes[i] == 0xAA);
  }
}

int main(void) {
  up = live(has_ipv6() ? AF_INET6 : AF_INET);
  down = dead(AF_INET);
  mute = silent();
  shaker_checker *checker = new_checker();
  blocking(checker);
  submitted(checker);
  descriptor(checker);
  counters(checker);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  close_target(&down);
  close_target(&mute);
  return outcome();
}
