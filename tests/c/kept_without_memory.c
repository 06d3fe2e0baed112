/* What the library keeps beside its checks, while no 4 KiB of memory can be had at once:
 *
 *     kept_without_memory settings
 *
 * Whoever asks for it is refused, or it is not kept. */
#include "failing_malloc.h"
#include "target.h"

enum { SETTINGS = 2000 };

static struct target up;
static shaker_checker *checker;
static uint64_t ids[SETTINGS];

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

int main(int count, char **arguments) {
  static const struct {
    const char *name;
    void (*run)(void);
    uint32_t lookups;
  } modes[] = {
    {"settings", settings, 1},

  };
  NEED(count == 2);
  up = live(AF_INET);
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
