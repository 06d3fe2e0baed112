/* What the library keeps beside its checks, while no 4 KiB of memory can be had at once:
 *
 *     kept_without_memory settings|cancels|answers|slow|heard|withdrawn
 *
 * Whoever asks for it is refused, or it is not kept. The names are those of the test that runs this program, which are
 * this host's, and take a while. */
#include "failing_malloc.h"
#include "target.h"

enum { SETTINGS = 2000, CHECKS = 60000, CANCELS = 20000, NAMES = 200, WAITING = 1000, QUEUED = 3000 };

static struct target up, down;
static shaker_checker *checker;
static shaker_request requests[CHECKS];
static shaker_result results[CHECKS];
static uint64_t ids[CHECKS];
static char names[NAMES][80];

static void memory_fails(int from_now_on) {
  least = 4096;
  from = 1, to = INT32_MAX;
  counting = from_now_on;
}

static void make_checker(uint32_t lookups) {
  shaker_config *config = shaker_config_new();
  NEED(shaker_config_set_timeout(config, PATIENCE_MS) == SHAKER_OK);
  NEED(shaker_config_set_max_lookups(config, lookups) == SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK);
  shaker_config_free(config);
}

/* Each accepted check has its one result. */
static size_t reap(size_t count) {
  size_t reaped = 0;
  long long give_up = now_ms() + PATIENCE_MS;
  while (reaped < count && now_ms() < give_up) {
    reaped += shaker_reap(checker, results + reaped, count - reaped, 1000);
  }
  EXPECT_EQ(reaped, count);
  return reaped;
}

static int is_local_fault(const shaker_result *result) {
  return result->status == SHAKER_ERR_LOCAL && result->os_error == ENOMEM;
}

/* Watches whose settings differ. For watches there is memory: they had it before, with the same settings. */
static void settings(void) {
  static shaker_watch watches[SETTINGS];
  static char addresses[SETTINGS][24];
  shaker_monitor *monitor = NULL;
  NEED(shaker_monitor_new(checker, NULL, &monitor) == SHAKER_OK);
  for (unsigned i = 0; i < SETTINGS; i++) {
    snprintf(addresses[i], sizeof addresses[i], "127.0.%u.%u:1", i / 200 % 200, 1 + i % 200);
    watches[i] = (shaker_watch){.addr = addresses[i], .interval_ms = 3600000};
  }
  NEED(shaker_monitor_add(monitor, watches, SETTINGS, ids) == SHAKER_OK);
  NEED(shaker_monitor_remove(monitor, ids, SETTINGS) == SHAKER_OK);
  int added = 0, refused = 0;
  memory_fails(1);
  for (unsigned i = 0; i < SETTINGS; i++) {
    watches[i].interval_ms += i;
    int status = shaker_monitor_add(monitor, &watches[i], 1, NULL);
    if (status != SHAKER_OK) EXPECT_EQ(status, SHAKER_ERR_LOCAL);
    *(status == SHAKER_OK ? &added : &refused) += 1;
  }
  EXPECT(added > 0 && refused > 0);
  memory_fails(0);
  shaker_watch watch = {.addr = up.text, .interval_ms = 1800000};
  EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

/* While a long list is taken in, its last checks are cancelled one by one. For the checks there is memory: they had it
 * before. */
static void cancels(void) {
  for (size_t i = 0; i < CHECKS; i++) requests[i] = ask(&down, PATIENCE_MS);
  NEED(shaker_submit(checker, requests, CHECKS, ids) == SHAKER_OK);
  reap(CHECKS);
  NEED(shaker_submit(checker, requests, CHECKS, ids) == SHAKER_OK);
  memory_fails(1);
  for (size_t i = CHECKS - 1; i >= CHECKS - CANCELS; i--) {
    int status;
    while ((status = shaker_cancel(checker, ids[i])) == SHAKER_ERR_LOCAL) pause_ms(1);
    EXPECT_EQ(status, SHAKER_OK);
  }
  for (size_t i = 0, reaped = reap(CHECKS); i < reaped; i++) {
    int status = results[i].status;
    EXPECT(status == SHAKER_REFUSED || status == SHAKER_ERR_CANCELLED || is_local_fault(&results[i]));
  }
}

static void name_targets(void) {
  for (unsigned i = 0; i < NAMES; i++) {
    snprintf(names[i], sizeof names[i], "name-%u.test:%s", i, strrchr(up.text, ':') + 1);
  }
}

/* Watches of many names, whose answers are kept for each other. All are judged, if only when there is memory again. */
static void answers(void) {
  static shaker_watch watches[NAMES];
  static shaker_change changes[NAMES];
  shaker_monitor *monitor = NULL;
  NEED(shaker_monitor_new(checker, NULL, &monitor) == SHAKER_OK);
  name_targets();
  for (size_t i = 0; i < NAMES; i++) watches[i] = (shaker_watch){.addr = names[i], .interval_ms = 1000};
  NEED(shaker_monitor_add(monitor, watches, NAMES, ids) == SHAKER_OK);
  memory_fails(1);
  for (size_t i = 0; i < NAMES; i++) {
    shaker_watch_info info = {0};
    UNTIL(shaker_monitor_get(monitor, ids[i], &info, sizeof info) != SHAKER_OK || info.checks > 0);
  }
  memory_fails(0);
  size_t told = 0;
  long long give_up = now_ms() + PATIENCE_MS;
  while (told < NAMES && now_ms() < give_up) {
    size_t reaped = shaker_monitor_reap(monitor, changes, NAMES, 1000);
    for (size_t i = 0; i < reaped; i++) EXPECT_EQ(changes[i].to, SHAKER_STATE_UP);
    told += reaped;
  }
  EXPECT_EQ(told, NAMES);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

/* Submits so many checks, and returns when all are taken in: one after another, and the last has its result first. */
static void take_in(size_t count) {
  requests[count] = ask(&down, PATIENCE_MS);
  NEED(shaker_submit(checker, requests, count + 1, NULL) == SHAKER_OK);
  reap(1);
}

static void check_names(size_t count) {
  for (size_t i = 0; i < count; i++) {
    requests[i] = (shaker_request){.addr = names[i % NAMES], .timeout_ms = PATIENCE_MS};
  }
  take_in(count);
}

/* The C library, too, may want memory for a lookup, and a busy machine lose a datagram. */
static void judge_names(size_t count) {
  for (size_t i = 0, reaped = reap(count); i < reaped; i++) {
    EXPECT(results[i].status == SHAKER_OK || results[i].status == SHAKER_ERR_RESOLVE || is_local_fault(&results[i]));
  }
}

/* Names whose lookups are slow. */
static void slow(void) {
  name_targets();
  check_names(NAMES);
  memory_fails(1);
  judge_names(NAMES);
}

static atomic_int is_held, is_let_go;

static void hold(const shaker_result *result, void *user_data) {
  (void)result, (void)user_data;
  is_held = 1;
  UNTIL(is_let_go);
}

/* Answers for many that come while the loop is busy elsewhere. */
static void heard(void) {
  name_targets();
  check_names(WAITING);
  shaker_request busy = ask(&down, PATIENCE_MS);
  busy.callback = hold;
  NEED(shaker_submit(checker, &busy, 1, NULL) == SHAKER_OK);
  UNTIL(is_held);
  memory_fails(1);
  pause_ms(3000); /* the names' answers take less */
  is_let_go = 1;
  judge_names(WAITING);
}

/* Many names that wait for their turn, and that nobody wants any more. */
static void withdrawn(void) {
  static char many[QUEUED][80];
  for (unsigned i = 0; i < QUEUED; i++) {
    snprintf(many[i], sizeof many[i], "queued-%u.test:1", i);
    requests[i] = (shaker_request){.addr = many[i], .timeout_ms = PATIENCE_MS};
  }
  take_in(QUEUED);
  memory_fails(1);
  EXPECT_EQ(shaker_cancel(checker, 0), SHAKER_OK);
  for (size_t i = 0, reaped = reap(QUEUED); i < reaped; i++) {
    EXPECT_EQ(results[i].status, SHAKER_ERR_CANCELLED);
  }
}

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    void (*run)(void);
    uint32_t lookups;
  } modes[] = {
    {"settings", settings, 1}, {"cancels", cancels, 1}, {"answers", answers, NAMES},
    {"slow", slow, NAMES},     {"heard", heard, NAMES}, {"withdrawn", withdrawn, 1},
  };
  NEED(count == 2);
  up = live(AF_INET);
  down = dead(AF_INET);
  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    if (strcmp(arguments[1], modes[i].name) != 0) continue;
    make_checker(modes[i].lookups);
    modes[i].run();
    memory_fails(0);
    EXPECT_EQ(shaker_check_addr(checker, up.text, PATIENCE_MS, NULL), SHAKER_OK);
    EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
    return outcome();
  }
  NEED(!"a mode");
}
