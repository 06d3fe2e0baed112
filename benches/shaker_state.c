/* shaker_state: what the library holds, and what holding it costs.
 *
 *   shaker_state heap   COUNT                  bytes of heap per check in flight
 *   shaker_state growth PORT CHECKS            memory after CHECKS checks against after a hundredth of them
 *   shaker_state idle   COUNT SECONDS          what the threads do while COUNT sockets lie idle
 *   shaker_state late   COUNT burst|steady     how long after its deadline a check ends, COUNT in flight
 *   shaker_state live   COUNT PORT             CPU per live check while COUNT silent ones are in flight
 *   shaker_state silent COUNT                  CPU per silent check, from SYN to timeout, COUNT in flight
 *
 * The silent targets are 10.77.0.0/16, one address each, whose SYNs a firewall must drop. Prints one line.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <malloc.h>
#include <unistd.h>

#include "course.h"

enum { SILENT_MS = 900 /* the kernel sends the SYN again after 1 s */, PER_SECOND = 20000, MOST = 60000 };

static struct sockaddr_in targets[MOST];
static shaker_request requests[MOST];
static shaker_result results[MOST];

static void silence(size_t count, uint32_t timeout_ms) {
  for (size_t i = 0; i < count; i++) {
    targets[i] = target_at("10.77.0.0", 9);
    targets[i].sin_addr.s_addr = htonl(ntohl(targets[i].sin_addr.s_addr) + 1024 + (uint32_t)i);
    requests[i] = request_for(&targets[i], timeout_ms);
  }
}

static void submit(shaker_checker *checker, const shaker_request *first, size_t count) {
  if (shaker_submit(checker, first, count, NULL)) die("submit");
}

static void expect(const shaker_result *found, size_t count, shaker_status status) {
  for (size_t i = 0; i < count; i++) {
    char text[128];
    if (found[i].status == status) continue;
    shaker_result_str(&found[i], text, sizeof text);
    die(text);
  }
}

/* Reaps this many results, each a timeout; or, on a busy machine, no verdict: its turn did not come in time. */
static void reap(shaker_checker *checker, size_t count) {
  for (size_t got = 0; got < count;) {
    size_t more = shaker_reap(checker, results + got, count - got, 30000);
    if (!more) die("no result in 30 s");
    for (size_t i = got; i < got + more; i++)
      if (results[i].status != SHAKER_ERR_BUSY) expect(&results[i], 1, SHAKER_TIMEOUT);
    got += more;
  }
}

static void wait_until_in_flight(const shaker_checker *checker, size_t count) {
  double patience = now() + 20;
  while (stats_of(checker).in_flight < count) {
    if (now() > patience) die("they do not all get in flight");
    usleep(200);
  }
}

static size_t heap(void) {
  struct mallinfo2 all = mallinfo2();
  return all.uordblks + all.hblkhd;
}

static size_t resident(void) {
  FILE *file = fopen("/proc/self/statm", "r");
  size_t pages = 0;
  if (!file || fscanf(file, "%*s %zu", &pages) != 1) die("/proc/self/statm");
  fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void heap_in_flight(size_t count) {
  shaker_checker *checker = checker_of((uint32_t)count, 1);
  silence(count, 60000);
  size_t before = heap(), pages = resident();
  submit(checker, requests, count);
  wait_until_in_flight(checker, count);
  printf("heap count=%zu bytes_per_check=%.1f resident_per_check=%.1f\n", count, (double)(heap() - before) / count,
         (double)(resident() - pages) / count);
  shaker_checker_free(checker);
}

static void growth(uint16_t port, size_t checks) {
  enum { STEP = 10000 };
  shaker_checker *checker = checker_of(1000, 1);
  struct sockaddr_in target = target_at("127.0.0.1", port);
  size_t early = 0, early_heap = 0;
  for (size_t i = 0; i < STEP; i++) requests[i] = request_for(&target, 10000);
  for (size_t done = 0; done < checks;) {
    if (shaker_check_many(checker, requests, STEP, results)) die("check_many");
    expect(results, STEP, SHAKER_OK);
    done += STEP;
    if (done == checks / 100) early = resident(), early_heap = heap();
  }
  printf("growth checks=%zu early_kib=%zu late_kib=%zu early_resident_kib=%zu late_resident_kib=%zu\n", checks,
         early_heap / 1024, heap() / 1024, early / 1024, resident() / 1024);
  shaker_checker_free(checker);
}

struct effort {
  unsigned long long cpu_ns, switches, threads;
};

/* What every thread but the first has done so far. A thread that used no CPU time and was never switched has slept,
 * so it made no system call either. */
static struct effort effort_of_the_others(void) {
  struct effort sum = {0, 0, 0};
  DIR *tasks = opendir("/proc/self/task");
  struct dirent *task;
  while ((task = readdir(tasks))) {
    char path[512], line[256];
    unsigned long long value;
    if (task->d_name[0] == '.' || atoi(task->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", task->d_name);
    FILE *file = fopen(path, "r");
    if (!file || fscanf(file, "%llu", &value) != 1) die(path);
    fclose(file);
    sum.cpu_ns += value;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
    if (!(file = fopen(path, "r"))) die(path);
    while (fgets(line, sizeof line, file))
      if (sscanf(line, "voluntary_ctxt_switches: %llu", &value) == 1 ||
          sscanf(line, "nonvoluntary_ctxt_switches: %llu", &value) == 1)
        sum.switches += value;
    fclose(file);
    sum.threads++;
  }
  closedir(tasks);
  return sum;
}

static void idle(size_t count, unsigned seconds) {
  shaker_checker *checker = checker_of((uint32_t)count, 1);
  silence(count, SILENT_MS);
  submit(checker, requests, count);
  reap(checker, count);
  usleep(300000);
  shaker_stats stats = stats_of(checker);
  if (stats.sockets != count || stats.in_flight) die("the sockets are not all idle");
  struct effort before = effort_of_the_others();
  sleep(seconds);
  struct effort after = effort_of_the_others();
  printf("idle sockets=%llu seconds=%u threads=%llu switches=%llu cpu_ns=%llu\n", (unsigned long long)stats.sockets,
         seconds, after.threads, after.switches - before.switches, after.cpu_ns - before.cpu_ns);
  shaker_checker_free(checker);
}

/* A thousandth of a second's checks at a time, each thousandth of a second. */
static void submit_steadily(shaker_checker *checker, size_t count, size_t per_ms) {
  double begun = now();
  for (size_t done = 0, ms = 0; done < count; ms++) {
    size_t next = count - done < per_ms ? count - done : per_ms;
    submit(checker, requests + done, next);
    done += next;
    double ahead = begun + (ms + 1) * 1e-3 - now();
    if (ahead > 0) usleep((useconds_t)(ahead * 1e6));
  }
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* burst: all in one call, so all deadlines are one moment. steady: as many each millisecond as keep COUNT in flight;
 * only those count that end while COUNT are. */
static void late(size_t count, int burst) {
  static double lateness[MOST];
  shaker_checker *checker = checker_of((uint32_t)(count + count / 10), 1);
  size_t all = burst ? count : 3 * count, counted = 0;
  if (all > MOST) die("too many");
  silence(all, SILENT_MS);
  for (size_t i = 0; i < all; i++) requests[i].user_data = (void *)i;
  if (burst) submit(checker, requests, all);
  else submit_steadily(checker, all, count / SILENT_MS);
  reap(checker, all);
  for (size_t i = 0; i < all; i++)
    if (burst || (size_t)results[i].user_data < 2 * count)
      lateness[counted++] = (double)results[i].elapsed_us * 1e-6 - SILENT_MS * 1e-3;
  qsort(lateness, counted, sizeof *lateness, by_size);
  printf("late count=%zu worst_ns=%.0f least_ns=%.0f\n", count, lateness[counted - 1] * 1e9, lateness[0] * 1e9);
  shaker_checker_free(checker);
}

/* Ends before the kernel sends the silent ones' SYNs again, which would be counted too. */
static void live(size_t count, uint16_t port) {
  enum { STEP = 1000 };
  shaker_checker *checker = checker_of((uint32_t)count + STEP, 1);
  struct sockaddr_in target = target_at("127.0.0.1", port);
  static shaker_request live_requests[STEP];
  static shaker_result live_results[STEP];
  for (size_t i = 0; i < STEP; i++) live_requests[i] = request_for(&target, 10000);
  silence(count, SILENT_MS);
  if (shaker_check_many(checker, live_requests, STEP, live_results)) die("check_many");
  double begun = now();
  submit(checker, requests, count);
  wait_until_in_flight(checker, count);
  size_t checks = 0;
  unsigned long long used = effort_of_the_others().cpu_ns;
  while (now() < begun + 0.8) {
    if (shaker_check_many(checker, live_requests, STEP, live_results)) die("check_many");
    expect(live_results, STEP, SHAKER_OK);
    checks += STEP;
  }
  if (!checks) die("no time left for live checks");
  used = effort_of_the_others().cpu_ns - used;
  printf("live count=%zu checks=%zu cpu_ns=%.0f\n", count, checks, (double)used / checks);
  reap(checker, count);
  shaker_checker_free(checker);
}

/* The same number of checks per second whatever the number in flight, which only the timeout decides: so each
 * wake-up has as much to do, and what differs is how many others are held. */
static void silent(size_t count) {
  size_t timeout_ms = count * 1000 / PER_SECOND, per_ms = PER_SECOND / 1000;
  shaker_checker *checker = checker_of((uint32_t)(count + 1000), 1);
  if (timeout_ms < 1 || timeout_ms > SILENT_MS) die("COUNT out of range");
  silence(MOST / 2, (uint32_t)timeout_ms);
  size_t fill = per_ms * timeout_ms;
  submit_steadily(checker, fill, per_ms);
  submit_steadily(checker, PER_SECOND / 10, per_ms);
  unsigned long long used = effort_of_the_others().cpu_ns, done = stats_of(checker).timed_out;
  submit_steadily(checker, MOST / 2, per_ms);
  used = effort_of_the_others().cpu_ns - used;
  shaker_stats stats = stats_of(checker);
  printf("silent count=%zu in_flight=%llu checks=%llu cpu_ns=%.0f\n", count, (unsigned long long)stats.in_flight,
         (unsigned long long)stats.timed_out - done, (double)used / (double)(stats.timed_out - done));
  reap(checker, fill + PER_SECOND / 10);
  reap(checker, MOST / 2);
  shaker_checker_free(checker);
}

int main(int argc, char **argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: shaker_state heap|growth|idle|late|live|silent ...\n");
    return 2;
  }
  size_t count = strtoul(argv[2], NULL, 10);
  const char *mode = argv[1];
  if (!strcmp(mode, "growth")) growth((uint16_t)count, strtoul(argv[3], NULL, 10));
  else if (count < 1 || 3 * count > MOST) die("COUNT out of range");
  else if (!strcmp(mode, "heap")) heap_in_flight(count);
  else if (!strcmp(mode, "idle")) idle(count, (unsigned)atoi(argv[3]));
  else if (!strcmp(mode, "late")) late(count, argv[3][0] == 'b');
  else if (!strcmp(mode, "live")) live(count, (uint16_t)atoi(argv[3]));
  else silent(count);
  return 0;
}
