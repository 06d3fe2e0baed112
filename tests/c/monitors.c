/* Monitors as C programs have them: changes in order and once, watches that come and go, bad ones, and ends of every
 * kind. */
#include "target.h"

#include <pthread.h>

static struct target up, down;
static shaker_checker *checker;

static shaker_watch watch_of(const struct target *target) {
  shaker_watch watch = {0};
  watch.addr = target->text;
  watch.timeout_ms = PATIENCE_MS;
  watch.interval_ms = 10;
  watch.user_data = (void *)target;
  return watch;
}

/* A monitor that checks at once. */
static shaker_monitor *new_monitor(bool every_result) {
  shaker_monitor_config *config = shaker_monitor_config_new();
  shaker_monitor *monitor = NULL;
  NEED(config != NULL && shaker_monitor_config_set_max_spread(config, 0) == SHAKER_OK);
  NEED(shaker_monitor_config_set_every_result(config, every_result) == SHAKER_OK);
  NEED(shaker_monitor_new(checker, config, &monitor) == SHAKER_OK);
  shaker_monitor_config_free(config);
  return monitor;
}

static uint64_t add(shaker_monitor *monitor, shaker_watch watch) {
  uint64_t id = 0;
  EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, &id), SHAKER_OK);
  EXPECT(id != 0);
  return id;
}

static shaker_change next_change(shaker_monitor *monitor) {
  shaker_change change;
  memset(&change, 0xAA, sizeof change);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 1, PATIENCE_MS), 1);
  return change;
}

static shaker_watch_info info_of(const shaker_monitor *monitor, uint64_t id) {
  shaker_watch_info info;
  memset(&info, 0xAA, sizeof info);
  EXPECT_EQ(shaker_monitor_get(monitor, id, &info, sizeof info), SHAKER_OK);
  return info;
}

static int is_readable(int fd, int wait_ms) {
  struct pollfd waiting = {.fd = fd, .events = POLLIN};
  return poll(&waiting, 1, wait_ms) == 1;
}

static void a_change_says_whose_it_is_and_what_led_to_it(void) {
  shaker_monitor *monitor = new_monitor(false);
  shaker_watch watches[2] = {watch_of(&up), watch_of(&down)};
  watches[1].addr = NULL;
  watches[1].sockaddr = &down.address.sa;
  watches[1].sockaddr_len = down.length;
  uint64_t ids[2];
  EXPECT_EQ(shaker_monitor_add(monitor, watches, 2, ids), SHAKER_OK);
  for (int i = 0; i < 2; i++) {
    shaker_change change = next_change(monitor);
    int of_up = change.id == ids[0];
    EXPECT(of_up || change.id == ids[1]);
    EXPECT(change.user_data == (of_up ? &up : &down) && change.last.user_data == change.user_data);
    EXPECT_EQ(change.from, SHAKER_STATE_UNKNOWN);
    EXPECT_EQ(change.to, of_up ? SHAKER_STATE_UP : SHAKER_STATE_DOWN);
    EXPECT_EQ(change.last.status, of_up ? SHAKER_OK : SHAKER_REFUSED);
    EXPECT(change.run == 1 && change.flags == 0 && change.at_us > 0 && change.last.id == 0);
    EXPECT_EQ(change.last.address.in.sin_port, (of_up ? &up : &down)->address.in.sin_port);
    EXPECT(change.reserved[0] == 0 && change.reserved[1] == 0);
  }
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void what_is_known_of_a_watch_can_be_read(void) {
  shaker_monitor *monitor = new_monitor(false);
  uint64_t id = add(monitor, watch_of(&up));
  next_change(monitor);
  for (long long give_up = now_ms() + PATIENCE_MS; info_of(monitor, id).checks < 3 && now_ms() < give_up;) {
    shaker_change none;
    EXPECT_EQ(shaker_monitor_reap(monitor, &none, 1, 1), 0);
  }
  shaker_watch_info info = info_of(monitor, id);
  EXPECT(info.state == SHAKER_STATE_UP && info.checks >= 3 && info.up == info.checks);
  EXPECT(info.down == 0 && info.no_verdict == 0 && info.changes == 1 && info.paused == 0);
  EXPECT(info.run > 0 && info.since_us > 0 && info.rtt_us > 0 && info.rtt_smoothed_us > 0);
  EXPECT(info.last.status == SHAKER_OK && info.last.user_data == &up);
  /* A program that knows less of the struct has that, and one that knows more has zeros. */
  struct {
    shaker_watch_info known;
    uint64_t more;
  } larger;
  memset(&larger, 0xAA, sizeof larger);
  EXPECT_EQ(shaker_monitor_get(monitor, id, &larger.known, sizeof larger), SHAKER_OK);
  EXPECT(larger.known.state == SHAKER_STATE_UP && larger.more == 0);
  memset(&info, 0xAA, sizeof info);
  EXPECT_EQ(shaker_monitor_get(monitor, id, &info, sizeof info.state), SHAKER_OK);
  EXPECT(info.state == SHAKER_STATE_UP && info.run == 0xAAAAAAAAu);
  EXPECT_EQ(shaker_monitor_get(monitor, id, &info, 0), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void reports_count_as_verdicts(void) {
  shaker_monitor *monitor = new_monitor(false);
  shaker_watch watch = watch_of(&up);
  watch.initial = SHAKER_STATE_UP;
  uint64_t id = add(monitor, watch);
  EXPECT_EQ(shaker_monitor_pause(monitor, id, true), SHAKER_OK);
  /* One that had begun may end yet. */
  uint64_t checks = info_of(monitor, id).checks;
  EXPECT_EQ(info_of(monitor, id).paused, 1);
  for (int i = 0; i < 3; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  shaker_change change = next_change(monitor);
  EXPECT(change.to == SHAKER_STATE_DOWN && change.flags == SHAKER_CHANGE_REPORTED);
  EXPECT(checks > 0 || change.last.status == SHAKER_ERR_BUSY);
  for (int i = 0; i < 2; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, true), SHAKER_OK);
  change = next_change(monitor);
  EXPECT(change.from == SHAKER_STATE_DOWN && change.to == SHAKER_STATE_UP && change.run == 2);
  EXPECT_EQ(shaker_monitor_pause(monitor, id, false), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_check_now(monitor, id), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void a_slow_reader_has_the_first_and_the_latest_change(void) {
  shaker_monitor *monitor = new_monitor(false);
  shaker_watch watch = watch_of(&up);
  watch.fall = watch.rise = 1;
  uint64_t id = add(monitor, watch);
  EXPECT_EQ(shaker_monitor_pause(monitor, id, true), SHAKER_OK);
  for (int i = 0; i < 9; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, i % 2 != 0), SHAKER_OK);
  shaker_change changes[4];
  EXPECT_EQ(shaker_monitor_reap(monitor, changes, 4, PATIENCE_MS), 2);
  EXPECT_EQ(changes[0].flags & SHAKER_CHANGE_SKIPPED, 0);
  EXPECT(changes[1].flags & SHAKER_CHANGE_SKIPPED && changes[1].to == SHAKER_STATE_DOWN);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void the_descriptor_is_readable_while_changes_wait(void) {
  shaker_monitor *monitor = new_monitor(false);
  int fd = shaker_monitor_fd(monitor);
  EXPECT(fd >= 0 && fd == shaker_monitor_fd(monitor));
  uint64_t id = add(monitor, watch_of(&up));
  shaker_change change;
  size_t count = 0;
  while (count == 0 && is_readable(fd, PATIENCE_MS)) count = shaker_monitor_reap(monitor, &change, 1, 0);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(shaker_monitor_pause(monitor, id, true), SHAKER_OK);
  while (is_readable(fd, is_driven() ? 100 : 0) && count > 0) count = shaker_monitor_reap(monitor, &change, 1, 0);
  EXPECT(!is_readable(fd, 0));
  EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  EXPECT(is_readable(fd, PATIENCE_MS));
  EXPECT_EQ(next_change(monitor).to, SHAKER_STATE_DOWN);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void every_result_is_told_where_that_is_asked_for(void) {
  shaker_monitor *monitor = new_monitor(true);
  uint64_t id = add(monitor, watch_of(&up));
  EXPECT_EQ(next_change(monitor).from, SHAKER_STATE_UNKNOWN);
  for (int i = 0; i < 3; i++) {
    shaker_change change = next_change(monitor);
    EXPECT(change.id == id && change.from == SHAKER_STATE_UP && change.to == SHAKER_STATE_UP);
  }
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void what_can_be_no_watch_is_refused_with_all_that_came_with_it(void) {
  shaker_monitor *monitor = new_monitor(false);
  uint64_t ids[2] = {7, 7};
  struct {
    shaker_watch watch;
    shaker_status status;
  } bad[10];
  for (int i = 0; i < 10; i++) bad[i].watch = watch_of(&up), bad[i].status = SHAKER_ERR_INVALID;
  bad[0].watch.addr = NULL;
  bad[1].watch.sockaddr = &up.address.sa;
  bad[2].watch.flags = 1u << 31;
  bad[3].watch.flags = SHAKER_IPV4 | SHAKER_IPV6;
  bad[4].watch.jitter_percent = 51;
  bad[5].watch.initial = 3;
  bad[6].watch.initial = -1;
  bad[7].watch.reserved[3] = 1;
  bad[8].watch.addr = "127.0.0.1";
  bad[8].status = SHAKER_ERR_ADDRESS;
  bad[9].watch.addr = "127.1:80";
  bad[9].status = SHAKER_ERR_ADDRESS;
  for (int i = 0; i < 10; i++) {
    shaker_watch both[2] = {watch_of(&up), bad[i].watch};
    EXPECT_EQ(shaker_monitor_add(monitor, both, 2, ids), bad[i].status);
  }
  if (is_raw()) {
    shaker_watch full = watch_of(&up);
    full.flags = SHAKER_FULL_HANDSHAKE;
    EXPECT_EQ(shaker_monitor_add(monitor, &full, 1, ids), SHAKER_ERR_UNSUPPORTED);
  }
  EXPECT(ids[0] == 7 && ids[1] == 7);
  shaker_change none;
  EXPECT_EQ(shaker_monitor_reap(monitor, &none, 1, 50), 0);

  uint64_t unknown[3] = {0, 12345, UINT64_MAX};
  shaker_watch_info info;
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(shaker_monitor_pause(monitor, unknown[i], true), SHAKER_ERR_INVALID);
    EXPECT_EQ(shaker_monitor_check_now(monitor, unknown[i]), SHAKER_ERR_INVALID);
    EXPECT_EQ(shaker_monitor_report(monitor, unknown[i], true), SHAKER_ERR_INVALID);
    EXPECT_EQ(shaker_monitor_get(monitor, unknown[i], &info, sizeof info), SHAKER_ERR_INVALID);
    EXPECT_EQ(shaker_monitor_remove(monitor, &unknown[i], 1), SHAKER_ERR_INVALID);
  }
  /* The others go all the same. */
  uint64_t both[2] = {UINT64_MAX, add(monitor, watch_of(&up))};
  EXPECT_EQ(shaker_monitor_remove(monitor, both, 2), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_get(monitor, both[1], &info, sizeof info), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  shaker_monitor_config *config = shaker_monitor_config_new();
  EXPECT_EQ(shaker_monitor_config_set_max_down_percent(config, 100), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_config_set_max_down_percent(config, 101), SHAKER_ERR_INVALID);
  shaker_monitor_config_free(config);
}

static void what_was_removed_is_not_told_of(void) {
  shaker_monitor *monitor = new_monitor(false);
  uint64_t id = add(monitor, watch_of(&up));
  EXPECT_EQ(shaker_monitor_pause(monitor, id, true), SHAKER_OK);
  for (int i = 0; i < 3; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_remove(monitor, &id, 1), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_remove(monitor, &id, 1), SHAKER_ERR_INVALID);
  shaker_change none;
  EXPECT_EQ(shaker_monitor_reap(monitor, &none, 1, 50), 0);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

static void too_many_that_would_be_down_are_held_back(void) {
  shaker_monitor_config *config = shaker_monitor_config_new();
  shaker_monitor *monitor = NULL;
  EXPECT_EQ(shaker_monitor_config_set_max_spread(config, 0), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_config_set_max_down_percent(config, 0), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_new(checker, config, &monitor), SHAKER_OK);
  shaker_monitor_config_free(config);
  add(monitor, watch_of(&down));
  shaker_change none;
  for (long long give_up = now_ms() + PATIENCE_MS; shaker_monitor_held(monitor) < 3 && now_ms() < give_up;) {
    EXPECT_EQ(shaker_monitor_reap(monitor, &none, 1, 5), 0);
  }
  EXPECT(shaker_monitor_held(monitor) >= 3);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

/* In a callback nothing waits, and nothing is freed. */
static shaker_monitor *of_callback;
static atomic_int called;

static void uses_the_monitor(const shaker_result *result, void *user_data) {
  (void)result, (void)user_data;
  shaker_change changes[8];
  uint64_t id = add(of_callback, watch_of(&up));
  EXPECT_EQ(shaker_monitor_check_now(of_callback, id), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_report(of_callback, id, false), SHAKER_OK);
  EXPECT(shaker_monitor_reap(of_callback, changes, 8, UINT32_MAX) <= 8);
  EXPECT_EQ(shaker_monitor_remove(of_callback, &id, 1), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(of_callback), SHAKER_ERR_DEADLOCK);
  called = 1;
}

static void a_callback_may_do_all_but_free(void) {
  of_callback = new_monitor(false);
  shaker_request request = ask(&up, 0);
  request.callback = uses_the_monitor;
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  UNTIL_CALLED(checker, called);
  EXPECT_EQ(shaker_monitor_free(of_callback), SHAKER_OK);
}

static void *reap_for_ever(void *monitor) {
  shaker_change change;
  while (shaker_monitor_reap(monitor, &change, 1, UINT32_MAX) > 0) continue;
  return NULL;
}

static void a_shutdown_wakes_who_waits_and_what_waits_can_be_reaped(void) {
  shaker_checker *shared = checker;
  checker = new_checker();
  shaker_monitor *monitor = new_monitor(false);
  pthread_t reaper;
  NEED(pthread_create(&reaper, NULL, reap_for_ever, monitor) == 0);
  uint64_t id = add(monitor, watch_of(&up));
  pause_ms(20);
  shaker_checker_shutdown(checker);
  pthread_join(reaper, NULL);
  EXPECT_EQ(shaker_monitor_add(monitor, &(shaker_watch){.addr = up.text}, 1, NULL), SHAKER_ERR_CLOSED);
  for (int i = 0; i < 4; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, false), SHAKER_OK);
  shaker_change changes[2];
  size_t count = 0;
  for (size_t more; (more = shaker_monitor_reap(monitor, changes, 2, UINT32_MAX)) > 0;) count += more;
  EXPECT(count > 0);
  shaker_monitor *none = monitor;
  EXPECT_EQ(shaker_monitor_new(checker, NULL, &none), SHAKER_ERR_CLOSED);
  EXPECT(none == NULL);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  checker = shared;
}

/* It is a mistake, and does no harm. */
static void a_checker_may_go_before_its_monitor(void) {
  shaker_checker *shared = checker;
  checker = new_checker();
  shaker_monitor *monitor = new_monitor(false);
  add(monitor, watch_of(&up));
  next_change(monitor);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  shaker_change change;
  while (shaker_monitor_reap(monitor, &change, 1, UINT32_MAX) > 0) continue;
  EXPECT_EQ(shaker_monitor_add(monitor, &(shaker_watch){.addr = up.text}, 1, NULL), SHAKER_ERR_CLOSED);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
  checker = shared;
}

static void what_waits_goes_with_the_monitor(void) {
  shaker_monitor *monitor = new_monitor(false);
  uint64_t id = add(monitor, watch_of(&up));
  for (int i = 0; i < 3; i++) EXPECT_EQ(shaker_monitor_report(monitor, id, i % 2 != 0), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

int main(void) {
  up = live(AF_INET);
  down = dead(AF_INET);
  checker = new_checker();
  a_change_says_whose_it_is_and_what_led_to_it();
  what_is_known_of_a_watch_can_be_read();
  reports_count_as_verdicts();
  a_slow_reader_has_the_first_and_the_latest_change();
  the_descriptor_is_readable_while_changes_wait();
  every_result_is_told_where_that_is_asked_for();
  what_can_be_no_watch_is_refused_with_all_that_came_with_it();
  what_was_removed_is_not_told_of();
  too_many_that_would_be_down_are_held_back();
  a_callback_may_do_all_but_free();
  a_shutdown_wakes_who_waits_and_what_waits_can_be_reaped();
  a_checker_may_go_before_its_monitor();
  what_waits_goes_with_the_monitor();
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  close_target(&down);
  return outcome();
}
