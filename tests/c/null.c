/* NULL in every pointer argument of every function: never a crash, always the answer that the header names. */
#include "target.h"

static const uint64_t UNTOUCHED = 0xAAAAAAAAAAAAAAAAu;

static void texts(void) {
  shaker_result result = {0};
  char text[64] = "before";
  EXPECT_EQ(shaker_result_str(NULL, text, sizeof text), 0);
  EXPECT_EQ(strcmp(text, ""), 0);
  EXPECT_EQ(shaker_result_str(NULL, NULL, 0), 0);
  size_t length = shaker_result_str(&result, text, sizeof text);
  EXPECT_EQ(shaker_result_str(&result, NULL, 0), length);
  EXPECT_EQ(shaker_result_str(&result, NULL, 10), length);
  strcpy(text, "before");
  EXPECT_EQ(shaker_result_describe(NULL, "target", text, sizeof text), 0);
  EXPECT_EQ(strcmp(text, ""), 0);
  EXPECT_EQ(shaker_result_describe(NULL, NULL, NULL, 0), 0);
  EXPECT_EQ(shaker_result_describe(&result, NULL, text, sizeof text), length);
  EXPECT_EQ(shaker_result_describe(&result, NULL, NULL, 10), length);
  EXPECT_EQ(shaker_result_describe(&result, "target", NULL, 0), strlen("target: ") + length);
  strcpy(text, "before");
  EXPECT_EQ(shaker_result_error_str(NULL, text, sizeof text), 0);
  EXPECT_EQ(strcmp(text, ""), 0);
  EXPECT_EQ(shaker_result_error_str(NULL, NULL, 0), 0);
  result.os_error = ECONNREFUSED;
  length = shaker_result_error_str(&result, text, sizeof text);
  EXPECT_EQ(shaker_result_error_str(&result, NULL, 10), length);
}

static void settings(void) {
  shaker_config_free(NULL);
  EXPECT_EQ(shaker_config_set_engine(NULL, SHAKER_ENGINE_SOCKET), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_threads(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_timeout(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_in_flight(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_rate(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_max_lookups(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_syn_interval(NULL, 300), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_caller_driven(NULL, true), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_family(NULL, AF_INET), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_zero_linger(NULL, true), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_source(NULL, "127.0.0.1"), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_interface(NULL, "lo"), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_network_namespace(NULL, "/proc/self/ns/net"), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_mark(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_tos(NULL, 1), SHAKER_ERR_INVALID);
  shaker_config *config = shaker_config_new();
  EXPECT(config != NULL);
  EXPECT_EQ(shaker_config_set_source(config, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_interface(config, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_config_set_network_namespace(config, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_checker_new(config, NULL), SHAKER_ERR_INVALID);
  shaker_config_free(config);
}

static void checkers(void) {
  EXPECT_EQ(shaker_checker_new(NULL, NULL), SHAKER_ERR_INVALID);
  shaker_checker_shutdown(NULL);
  EXPECT_EQ(shaker_checker_free(NULL), SHAKER_OK);
  EXPECT_EQ(shaker_checker_engine(NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_checker_fd(NULL), -1);
  EXPECT_EQ(shaker_cancel(NULL, 0), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_cancel(NULL, 1), SHAKER_ERR_INVALID);
  shaker_stats stats;
  memset(&stats, 0xAA, sizeof stats);
  EXPECT_EQ(shaker_checker_stats(NULL, &stats, sizeof stats), SHAKER_ERR_INVALID);
  EXPECT(stats.submitted == UNTOUCHED && stats.sockets == UNTOUCHED);
}

static void blocking(shaker_checker *checker, const struct target *up) {
  const struct sockaddr *sockaddr = &up->address.sa;
  shaker_request request = ask(up, 0);
  shaker_result result;
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_addr(NULL, up->text, 0, &result), SHAKER_ERR_INVALID);
  EXPECT(result.status == SHAKER_ERR_INVALID && result.id == 0 && result.address.sa.sa_family == AF_UNSPEC);
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_addr(checker, NULL, 0, &result), SHAKER_ERR_INVALID);
  EXPECT(result.status == SHAKER_ERR_INVALID && result.reserved == 0 && result.user_data == NULL);
  EXPECT_EQ(shaker_check_addr(checker, NULL, 0, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_addr(checker, up->text, 0, NULL), SHAKER_OK);

  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_sockaddr(NULL, sockaddr, up->length, 0, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_sockaddr(checker, NULL, up->length, 0, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_sockaddr(checker, NULL, 0, 0, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_sockaddr(checker, sockaddr, up->length, 0, NULL), SHAKER_OK);

  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check(NULL, &request, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check(checker, NULL, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(result.status, SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check(NULL, NULL, NULL), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check(checker, &request, NULL), SHAKER_OK);

  memset(&result, 0xAA, sizeof result);
  EXPECT_EQ(shaker_check_many(NULL, &request, 1, &result), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_check_many(checker, NULL, 1, &result), SHAKER_ERR_INVALID);
  EXPECT(result.id == UNTOUCHED && result.reserved == UNTOUCHED);
  EXPECT_EQ(shaker_check_many(checker, NULL, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_check_many(checker, &request, 1, NULL), SHAKER_OK);
}

static void submitting(shaker_checker *checker, const struct target *up) {
  shaker_request request = ask(up, 0);
  shaker_result result;
  uint64_t id = UNTOUCHED;
  EXPECT_EQ(shaker_submit(NULL, &request, 1, &id), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_submit(checker, NULL, 1, &id), SHAKER_ERR_INVALID);
  EXPECT(id == UNTOUCHED);
  EXPECT_EQ(shaker_submit(checker, NULL, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_submit(checker, NULL, 0, &id), SHAKER_OK);
  EXPECT(id == UNTOUCHED);
  EXPECT_EQ(shaker_submit(checker, &request, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_reap(NULL, &result, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_reap(checker, NULL, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_reap(checker, NULL, 0, UINT32_MAX), 0);
  EXPECT_EQ(shaker_reap(checker, &result, 0, UINT32_MAX), 0);
  EXPECT_EQ(shaker_reap(checker, &result, 1, UINT32_MAX), 1);
  EXPECT_EQ(result.status, SHAKER_OK);
}

static void monitors(shaker_checker *checker, const struct target *up) {
  shaker_monitor *monitor = NULL;
  shaker_monitor_config_free(NULL);
  EXPECT_EQ(shaker_monitor_config_set_max_spread(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_config_set_every_result(NULL, true), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_config_set_max_down_percent(NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_new(checker, NULL, NULL), SHAKER_ERR_INVALID);
  monitor = (shaker_monitor *)&monitor;
  EXPECT_EQ(shaker_monitor_new(NULL, NULL, &monitor), SHAKER_ERR_INVALID);
  EXPECT(monitor == NULL);
  EXPECT_EQ(shaker_monitor_new(checker, NULL, &monitor), SHAKER_OK);

  shaker_watch watch = {0};
  watch.addr = up->text;
  uint64_t id = UNTOUCHED;
  EXPECT_EQ(shaker_monitor_add(NULL, &watch, 1, &id), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_add(monitor, NULL, 1, &id), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_add(monitor, NULL, 0, &id), SHAKER_OK);
  EXPECT_EQ(id, UNTOUCHED);
  EXPECT_EQ(shaker_monitor_add(monitor, NULL, 0, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, NULL), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_add(monitor, &watch, 1, &id), SHAKER_OK);
  EXPECT(id != 0 && id != UNTOUCHED);
  EXPECT_EQ(shaker_monitor_pause(NULL, id, true), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_check_now(NULL, id), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_report(NULL, id, true), SHAKER_ERR_INVALID);
  shaker_watch_info info;
  memset(&info, 0xAA, sizeof info);
  EXPECT_EQ(shaker_monitor_get(NULL, id, &info, sizeof info), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_get(monitor, id, NULL, sizeof info), SHAKER_ERR_INVALID);
  EXPECT_EQ(info.checks, UNTOUCHED);
  shaker_change change;
  EXPECT_EQ(shaker_monitor_reap(NULL, &change, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_monitor_reap(monitor, NULL, 1, UINT32_MAX), 0);
  EXPECT_EQ(shaker_monitor_reap(monitor, NULL, 0, UINT32_MAX), 0);
  EXPECT_EQ(shaker_monitor_reap(monitor, &change, 0, UINT32_MAX), 0);
  EXPECT_EQ(shaker_monitor_fd(NULL), -1);
  EXPECT_EQ(shaker_monitor_held(NULL), 0);
  EXPECT_EQ(shaker_monitor_remove(NULL, &id, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_remove(monitor, NULL, 1), SHAKER_ERR_INVALID);
  EXPECT_EQ(shaker_monitor_remove(monitor, NULL, 0), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(NULL), SHAKER_OK);
  EXPECT_EQ(shaker_monitor_free(monitor), SHAKER_OK);
}

int main(void) {
  struct target up = live(AF_INET);
  shaker_checker *checker = new_checker();
  texts();
  settings();
  checkers();
  blocking(checker, &up);
  submitting(checker, &up);
  uint64_t submitted = stats_of(checker).submitted;
  monitors(checker, &up);
  EXPECT_EQ(shaker_checker_stats(checker, NULL, sizeof(shaker_stats)), SHAKER_ERR_INVALID);
  EXPECT_EQ(submitted, 5);
  EXPECT_EQ(shaker_checker_free(checker), SHAKER_OK);
  close_target(&up);
  return outcome();
}
