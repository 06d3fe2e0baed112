/* exchange: what a TCP segment costs this host, by a connection of its own that the library has nothing to do with.
 *
 *   exchange ROUNDS
 *
 * One thread sends a byte over loopback and one back, ROUNDS times. Prints nanoseconds per segment: what a receiver of
 * another process adds to every segment shows here.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec * 1e9 + t.tv_nsec;
}

static double segments(void) {
  char line[1024];
  double found = -1;
  FILE *file = fopen("/proc/net/snmp", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %*d %*d %*d %lf", &found) == 1) break;
  if (file) fclose(file);
  return found;
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 0;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof own;
  int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), here = socket(AF_INET, SOCK_STREAM, 0);
  char byte = 0;
  if (bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 1)) die("listen");
  if (getsockname(listener, (struct sockaddr *)&own, &length)) die("getsockname");
  if (connect(here, (struct sockaddr *)&own, sizeof own)) die("connect");
  int there = accept(listener, NULL, NULL);
  setsockopt(here, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(there, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  double before = segments(), used = cpu_ns();
  for (long i = 0; i < rounds; i++) {
    if (write(here, &byte, 1) != 1 || read(there, &byte, 1) != 1) die("there");
    if (write(there, &byte, 1) != 1 || read(here, &byte, 1) != 1) die("back");
  }
  used = cpu_ns() - used;
  double seen = segments() - before;
  printf("exchange rounds=%ld segments=%.0f segment_ns=%.1f\n", rounds, seen, used / seen);
  return 0;
}
