/* shaker_loop: the library on the yardstick's course (bare_loop.c), in the same words.
 *
 *   shaker_loop batch  PORT CHECKS WINDOW [LOOPS]   one shaker_check_many
 *   shaker_loop reap   PORT CHECKS WINDOW [LOOPS]   submit and reap from an epoll loop of the caller's
 *   shaker_loop inline PORT CHECKS                  one blocking check at a time
 *   shaker_loop single PORT CHECKS                  one check at a time by submit and reap
 *   shaker_loop driven PORT CHECKS                  the same on a caller-driven checker
 *
 * Prints one line: verdicts, checks per second, µs of wall and CPU time per check, and handshakes completed.
 */
#define _GNU_SOURCE
#include <sys/epoll.h>

#include "course.h"

enum { TIMEOUT_MS = 10000, MOST = 1024 };

static struct sockaddr_in target;
static size_t up, refused;

static void count(const shaker_result *results, size_t number) {
  for (size_t i = 0; i < number; i++) {
    up += results[i].status == SHAKER_OK;
    refused += results[i].status == SHAKER_REFUSED;
  }
}

static void batch(shaker_checker *checker, const shaker_request *requests, shaker_result *results, size_t checks) {
  if (shaker_check_many(checker, requests, checks, results)) die("check_many");
}

/* Keeps two windows submitted, so that the loop never runs dry while this thread counts. */
static void reap(shaker_checker *checker, size_t checks, size_t window) {
  static shaker_request requests[MOST];
  static shaker_result results[MOST];
  struct epoll_event event = {.events = EPOLLIN};
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  size_t ahead = 2 * window < MOST ? MOST : 2 * window, submitted = 0, reaped = 0;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, shaker_checker_fd(checker), &event)) die("epoll_ctl");
  for (size_t i = 0; i < MOST; i++) requests[i] = request_for(&target, TIMEOUT_MS);
  while (reaped < checks) {
    size_t room = ahead - (submitted - reaped), left = checks - submitted;
    size_t next = room < left ? room : left;
    if (next > MOST) next = MOST;
    if (next && (next == left || next >= MOST / 4)) {
      if (shaker_submit(checker, requests, next, NULL)) die("submit");
      submitted += next;
      continue;
    }
    if (epoll_wait(epoll, &event, 1, 60000) != 1) die("stalled");
    size_t got = shaker_reap(checker, results, MOST, 0);
    count(results, got);
    reaped += got;
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void one_by_one(shaker_checker *checker, size_t checks, double *took) {
  for (size_t i = 0; i < checks; i++) {
    double begun = now();
    up += shaker_check_sockaddr(checker, (struct sockaddr *)&target, sizeof target, TIMEOUT_MS, NULL) == SHAKER_OK;
    took[i] = now() - begun;
  }
}

static void submitted_one_by_one(shaker_checker *checker, size_t checks, double *took) {
  for (size_t i = 0; i < checks; i++) {
    shaker_result result;
    double begun = now();
    shaker_request request = request_for(&target, TIMEOUT_MS);
    if (shaker_submit(checker, &request, 1, NULL)) die("submit");
    if (shaker_reap(checker, &result, 1, UINT32_MAX) != 1) die("reap");
    took[i] = now() - begun;
    count(&result, 1);
  }
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: shaker_loop batch|reap PORT CHECKS WINDOW [LOOPS] | inline|single|driven PORT CHECKS\n");
    return 2;
  }
  target = target_at("127.0.0.1", (uint16_t)atoi(argv[2]));
  char mode = argv[1][0];
  size_t checks = strtoul(argv[3], NULL, 10), window = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
  uint32_t loops = argc > 5 ? (uint32_t)atoi(argv[5]) : mode != 'd';
  shaker_checker *checker = checker_of((uint32_t)window, loops);
  /* What a program of its own would have at hand is made ready, and its pages touched, before the clock runs. */
  double *took = mode == 'i' || mode == 's' || mode == 'd' ? malloc(checks * sizeof *took) : NULL;
  shaker_request *requests = mode == 'b' ? malloc(checks * sizeof *requests) : NULL;
  shaker_result *results = mode == 'b' ? malloc(checks * sizeof *results) : NULL;
  for (size_t i = 0; requests && i < checks; i++) requests[i] = request_for(&target, TIMEOUT_MS);
  if (results) memset(results, 0xff, checks * sizeof *results);
  if (took) memset(took, 0xff, checks * sizeof *took);
  double wall = now(), used = cpu(), user = user_cpu();
  switch (mode) {
  case 'b': batch(checker, requests, results, checks); break;
  case 'r': reap(checker, checks, window); break;
  case 'i': one_by_one(checker, checks, took); break;
  default: submitted_one_by_one(checker, checks, took); break;
  }
  wall = now() - wall;
  used = cpu() - used;
  user = user_cpu() - user;
  if (results) count(results, checks);
  if (took) qsort(took, checks, sizeof *took, by_size);
  printf("%s window=%zu loops=%u checks=%zu up=%zu refused=%zu per_second=%.0f wall_us=%.2f "
         "cpu_us=%.2f user_us=%.2f completed=%llu\n",
         argv[1], window, loops, checks, up, refused, checks / wall, wall / checks * 1e6, used / checks * 1e6,
         user / checks * 1e6, (unsigned long long)stats_of(checker).completed_handshakes);
  free(took);
  free(requests);
  free(results);
  return shaker_checker_free(checker) != SHAKER_OK;
}
