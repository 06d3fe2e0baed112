/* bare_expiry: the least it costs to end many silent attempts whose deadlines are one moment.
 *
 *   bare_expiry COUNT
 *
 * Sends COUNT SYNs to silent targets, as shaker_state does, and then ends the attempts one after another, each with one
 * connect(AF_UNSPEC), and without a look at whether an answer has come after all. Prints the quantiles of how long after
 * the first moment each ended.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  int count = argc > 1 ? atoi(argv[1]) : 0, one = 1;
  if (count < 1) {
    fprintf(stderr, "usage: bare_expiry COUNT\n");
    return 2;
  }
  int *fds = calloc((size_t)count, sizeof *fds);
  double *ended = calloc((size_t)count, sizeof *ended);
  struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(9)};
  const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  for (int i = 0; i < count; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, &one, sizeof one);
    target.sin_addr.s_addr = htonl(0x0a4d0400 + (uint32_t)i); /* 10.77.4.0 and up */
    connect(fds[i], (struct sockaddr *)&target, sizeof target);
  }
  double due = now();
  for (int i = 0; i < count; i++) {
    if (connect(fds[i], &nowhere, sizeof nowhere) < 0) {
      perror("disconnect");
      return 1;
    }
    ended[i] = now() - due;
  }
  qsort(ended, (size_t)count, sizeof *ended, by_size);
  free(ended);
  free(fds);
  return 0;
}
