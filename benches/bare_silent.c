/* bare_silent: the least that a silent check costs with so many in flight.
 *
 *   bare_silent COUNT
 *
 * Keeps COUNT SYNs to silent targets in flight, and goes round them: look (TCP_INFO and SO_ERROR, as the library must), disconnect,
 * connect again. Prints the CPU time of one such turn.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv) {
  enum { TURNS = 200000 };
  const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  const struct linger hard = {1, 0};
  int count = argc > 1 ? atoi(argv[1]) : 0, one = 1, error;
  struct rlimit limit;
  char info[144];
  if (count < 1) {
    fprintf(stderr, "usage: bare_silent COUNT\n");
    return 2;
  }
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  int *fds = calloc((size_t)count, sizeof *fds);
  for (int i = 0; i < count; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fds[i] < 0) {
      perror("socket");
      return 1;
    }
    setsockopt(fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    setsockopt(fds[i], SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  double begun = 0;
  for (int turn = -count; turn < TURNS; turn++) {
    int i = (turn + count) % count;
    if (turn == 0) begun = cpu_ns();
    if (turn >= 0) {
      socklen_t length = sizeof info;
      getsockopt(fds[i], IPPROTO_TCP, TCP_INFO, info, &length);
      length = sizeof error;
      getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &error, &length);
      connect(fds[i], &nowhere, sizeof nowhere);
    }
    struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(9)};
    target.sin_addr.s_addr = htonl(0x0a4d0400 + (uint32_t)i); /* 10.77.4.0 and up */
    connect(fds[i], (struct sockaddr *)&target, sizeof target);
  }
  printf("bare_silent count=%d cpu_ns=%.0f\n", count, (cpu_ns() - begun) / TURNS);
  free(fds);
  return 0;
}
