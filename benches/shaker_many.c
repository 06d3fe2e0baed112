/* shaker_many: as many checks in flight as a raw checker may have, and what becomes of them in bad times.
 *
 *   shaker_many silent COUNT TIMEOUT_MS PORT                    COUNT silent checks in flight at one moment: heap,
 *                                                               CPU, lateness, and CPU of a live check beside them
 *   shaker_many live   CHECKS WINDOW TIMEOUT_MS PORT PORTS [S]  live targets; half-way the process is stopped for S s
 *   shaker_many mute   CHECKS WINDOW TIMEOUT_MS PORT PORTS      targets whose SYNs a firewall drops
 *
 * Silent are 127.1.0.0/16, whose SYNs a firewall must drop, and live is 127.2.0.0/16, on PORTS ports from PORT on.
 * Prints one line. The engine is that of SHAKER_ENGINE (course.h).
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "course.h"

enum { NETWORK = 65536, STEP = 1000, AT_ONCE = 65536, LIVE = 100000 };
static const double EARLY_SYNS_S = 1.2; /* they have left by then */

static struct sockaddr_in *targets;
static shaker_request *requests;
static shaker_result results[AT_ONCE];
static size_t found[100]; /* by status, of which those below 0 are kept from 50 on */
static size_t syn_retransmits;

static void *room_for(size_t count, size_t size) {
  void *room = calloc(count, size);
  if (!room) die("no memory");
  return memset(room, 0, count * size); /* its pages are there before the clock runs */
}

/* Addresses and ports in turn, and no pair twice as long as there are others. */
static void aim(const char *network, size_t count, uint32_t timeout_ms, uint16_t port, size_t ports) {
  targets = room_for(count, sizeof *targets);
  requests = room_for(count, sizeof *requests);
  uint32_t first = ntohl(target_at(network, 0).sin_addr.s_addr);
  for (size_t i = 0; i < count; i++) {
    targets[i] = target_at(network, (uint16_t)(port + (i + i / (NETWORK - 2)) % ports));
    targets[i].sin_addr.s_addr = htonl(first + 1 + (uint32_t)(i % (NETWORK - 2)));
    requests[i] = request_for(&targets[i], timeout_ms);
    requests[i].user_data = (void *)i;
  }
}

static size_t heap(void) {
  struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

static void submit(shaker_checker *checker, size_t first, size_t count) {
  if (shaker_submit(checker, requests + first, count, NULL)) die("submit");
}

static size_t reap(shaker_checker *checker, uint32_t wait_ms) {
  size_t got = shaker_reap(checker, results, AT_ONCE, wait_ms);
  for (size_t i = 0; i < got; i++) {
    found[results[i].status < 0 ? 50 - results[i].status : results[i].status]++;
    syn_retransmits += results[i].syn_retransmits;
  }
  return got;
}

static void print_verdicts(void) {
  printf(" up=%zu refused=%zu timed_out=%zu syn_retransmits=%zu", found[SHAKER_OK], found[SHAKER_REFUSED],
         found[SHAKER_TIMEOUT], syn_retransmits);
  for (int i = 0; i < 100; i++) {
    if (!found[i] || i == SHAKER_OK || i == SHAKER_REFUSED || i == SHAKER_TIMEOUT) continue;
    fprintf(stderr, "%zu of %s\n", found[i], shaker_status_name(i < 50 ? i : 50 - i));
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static size_t not_started(const shaker_checker *checker, size_t submitted) {
  shaker_stats stats = stats_of(checker);
  size_t started = stats.in_flight + stats.up + stats.timed_out + stats.err_busy + stats.err_local;
  return submitted < started ? 0 : submitted - started;
}

/* As fast as the loop starts them, since a million that are due at one moment could not all end at it. */
static void submit_as_they_start(shaker_checker *checker, size_t count) {
  for (size_t done = 0; done < count;) {
    size_t next = count - done < STEP ? count - done : STEP;
    if (not_started(checker, done) > STEP) {
      usleep(100);
      continue;
    }
    submit(checker, done, next);
    done += next;
  }
}

static double live_cost(shaker_checker *checker, uint16_t port) {
  shaker_request *live = room_for(LIVE, sizeof *live);
  shaker_result *verdicts = room_for(LIVE, sizeof *verdicts);
  struct sockaddr_in target = target_at("127.0.0.1", port);
  for (size_t i = 0; i < LIVE; i++) live[i] = request_for(&target, 60000);
  double used = cpu();
  if (shaker_check_many(checker, live, LIVE, verdicts)) die("check_many");
  used = cpu() - used;
  for (size_t i = 0; i < LIVE; i++)
    if (verdicts[i].status != SHAKER_OK) die("a live target is not up");
  free(live);
  free(verdicts);
  return used / LIVE;
}

/* How late they are, and what they and live ones beside them cost. */
static void silent(size_t count, uint32_t timeout_ms, uint16_t port) {
  aim("127.1.0.0", count, timeout_ms, 9, 1 + count / NETWORK);
  double *lateness = room_for(count, sizeof *lateness), used = cpu(), begun = now(), live_us = 0;
  size_t before = heap();
  shaker_checker *checker = checker_of((uint32_t)count + 1000, 1);
  submit_as_they_start(checker, count);
  while (not_started(checker, count)) usleep(1000);
  double filled = now() - begun;
  size_t in_flight = stats_of(checker).in_flight, full = heap() - before;
  while (now() < begun + filled + EARLY_SYNS_S) usleep(1000);
  used = cpu() - used;
  if (now() + LIVE * 50e-6 < begun + timeout_ms * 1e-3) live_us = live_cost(checker, port) * 1e6;
  double ending = cpu();
  for (size_t done = 0; done < count;) {
    size_t more = reap(checker, 60000);
    if (!more) die("no result in a minute");
    for (size_t i = 0; i < more; i++) lateness[done + i] = results[i].elapsed_us * 1e-6 - timeout_ms * 1e-3;
    done += more;
  }
  used += cpu() - ending;
  qsort(lateness, count, sizeof *lateness, by_size);
  printf("silent count=%zu in_flight=%zu timeout_ms=%u filled_s=%.2f bytes_per_check=%.1f cpu_us=%.2f live_cpu_us=%.2f "
         "worst_ns=%.0f",
         count, in_flight, timeout_ms, filled, (double)full / count, used / count * 1e6, live_us,
         lateness[count - 1] * 1e9);
  print_verdicts();
  printf(" completed=%llu\n", (unsigned long long)stats_of(checker).completed_handshakes);
  shaker_checker_free(checker);
}

/* Somebody else stops this process, and has it go on after so many seconds. */
static pid_t stop_for(unsigned seconds) {
  pid_t stopped = getpid(), other = fork();
  if (other < 0) die("fork");
  if (other) return other;
  kill(stopped, SIGSTOP);
  sleep(seconds);
  kill(stopped, SIGCONT);
  _exit(0);
}

/* A window of the caller's own, so that no check's time runs while it waits for a place. */
static void windowed(const char *mode, size_t count, size_t window, unsigned stop_seconds) {
  shaker_checker *checker = checker_of((uint32_t)window, 1);
  size_t submitted = 0, done = 0, most = 0;
  pid_t other = 0;
  double wall = now(), used = cpu();
  while (done < count) {
    size_t room = window - (submitted - done), left = count - submitted;
    size_t next = room < left ? room : left;
    if (next && (next == left || next >= window / 4 || next >= 1024)) {
      submit(checker, submitted, next);
      submitted += next;
    }
    size_t in_flight = stats_of(checker).in_flight;
    if (in_flight > most) most = in_flight;
    if (stop_seconds && !other && done >= count / 2) other = stop_for(stop_seconds);
    done += reap(checker, submitted < count ? 1 : 1000);
    if (now() > wall + 600) die("stalled");
  }
  wall = now() - wall;
  used = cpu() - used;
  if (other) waitpid(other, NULL, 0);
  printf("%s window=%zu checks=%zu most_in_flight=%zu per_second=%.0f wall_us=%.2f cpu_us=%.2f", mode, window, count,
         most, count / wall, wall / count * 1e6, used / count * 1e6);
  print_verdicts();
  printf(" completed=%llu\n", (unsigned long long)stats_of(checker).completed_handshakes);
  shaker_checker_free(checker);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
  if (argc == 5 && !strcmp(mode, "silent")) {
    silent(count, (uint32_t)atoi(argv[3]), (uint16_t)atoi(argv[4]));
  } else if (argc >= 7 && (!strcmp(mode, "live") || !strcmp(mode, "mute"))) {
    aim(mode[0] == 'l' ? "127.2.0.0" : "127.1.0.0", count, (uint32_t)atoi(argv[4]), (uint16_t)atoi(argv[5]),
        strtoul(argv[6], NULL, 10));
    windowed(mode, count, strtoul(argv[3], NULL, 10), argc > 7 ? (unsigned)atoi(argv[7]) : 0);
  } else {
    fprintf(stderr,
            "usage: shaker_many silent COUNT TIMEOUT_MS PORT | live|mute CHECKS WINDOW TIMEOUT_MS PORT PORTS [S]\n");
    return 2;
  }
  return 0;
}
