/* shaker_beside: a checker that others on the host have to live with.
 *
 *   shaker_beside idle PORT              has made one check, and makes no more
 *   shaker_beside pace PORT PER_SECOND   makes so many checks a second, evenly
 *   shaker_beside held PORT              has one check in flight all the time, of a target that must be silent: 127.1.0.1
 *
 * Says "ready", and ends once its standard input is closed. The engine is that of SHAKER_ENGINE (course.h).
 */
#define _GNU_SOURCE
#include <poll.h>
#include <unistd.h>

#include "course.h"

static int goes_on_after(double seconds) {
  struct pollfd input = {STDIN_FILENO, POLLIN, 0};
  return !poll(&input, 1, seconds < 0 ? 0 : (int)(seconds * 1e3));
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: shaker_beside idle PORT | pace PORT PER_SECOND | held PORT\n");
    return 2;
  }
  struct sockaddr_in target = target_at("127.0.0.1", (uint16_t)atoi(argv[2])), silent = target_at("127.1.0.1", 9);
  shaker_checker *checker = checker_of(0, 1);
  shaker_request request = request_for(&target, 1000), held = request_for(&silent, 3600 * 1000);
  shaker_result result;
  size_t checks = 0, down = 0;
  double per_second = argc > 3 ? atof(argv[3]) : 0;
  shaker_check(checker, &request, &result);
  if (result.status != SHAKER_OK) die("the target is not up");
  if (argv[1][0] == 'h' && shaker_submit(checker, &held, 1, NULL)) die("submit");
  usleep(500000);
  printf("ready\n");
  fflush(stdout);
  for (double next = now(); goes_on_after(per_second ? next - now() : 1);) {
    if (!per_second) continue;
    next += 1 / per_second;
    if (shaker_submit(checker, &request, 1, NULL)) die("submit");
    if (shaker_reap(checker, &result, 1, UINT32_MAX) != 1) die("reap");
    down += result.status != SHAKER_OK;
    checks++;
  }
  printf("%s checks=%zu down=%zu completed=%llu\n", argv[1], checks, down,
         (unsigned long long)stats_of(checker).completed_handshakes);
  return shaker_checker_free(checker) != SHAKER_OK;
}
