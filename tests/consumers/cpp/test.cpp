// What the C++ wrapper promises beyond the C library:  ./test LIVE DEAD SILENT
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>
#include <thread>
#include <type_traits>

#include <tcpshaker.hpp>

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using tcpshaker::Change;
using tcpshaker::Checker;
using tcpshaker::Config;
using tcpshaker::Monitor;
using tcpshaker::MonitorConfig;
using tcpshaker::Result;
using tcpshaker::Watch;

static int failures;

#define EXPECT(condition)                                                   \
  do {                                                                      \
    if (!(condition)) {                                                     \
      std::cerr << __FILE__ << ':' << __LINE__ << ": " #condition " is not so\n"; \
      failures++;                                                           \
    }                                                                       \
  } while (0)

static std::string live, dead, silent;

static_assert(std::is_nothrow_move_constructible_v<Checker> && std::is_nothrow_move_assignable_v<Checker>);
static_assert(!std::is_copy_constructible_v<Checker> && !std::is_copy_assignable_v<Checker>);
static_assert(std::is_nothrow_move_constructible_v<Monitor> && std::is_nothrow_move_assignable_v<Monitor>);
static_assert(!std::is_copy_constructible_v<Monitor> && !std::is_copy_assignable_v<Monitor>);
static_assert(std::is_trivially_copyable_v<Result> && sizeof(Result) == sizeof(shaker_result));
static_assert(std::is_trivially_copyable_v<Change> && sizeof(Change) == sizeof(shaker_change));

// The status that a call was refused with, if it was.
template <class Call>
static std::optional<shaker_status> refused(Call call) {
  try {
    call();
  } catch (const tcpshaker::Error &error) {
    EXPECT(std::string(error.what()).find(shaker_status_str(error.status())) != std::string::npos);
    return error.status();
  }
  return std::nullopt;
}

static std::ptrdiff_t entries(const char *directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

template <class Owner>
static bool readable(const Owner &owner, int wait_ms) {
  pollfd watched{owner.fd(), POLLIN, 0};
  return poll(&watched, 1, wait_ms) == 1;
}

static void verdicts_are_values() {
  Checker checker;
  Result up = checker.check(live), down = checker.check(dead), mute = checker.check(silent, 500ms);
  EXPECT(up.up() && !up.down() && !up.no_verdict() && up.status() == SHAKER_OK);
  EXPECT(up.rtt() > 0us && up.id() == 0 && up.user_data() == nullptr);
  EXPECT(up.half_open() == ((up.c_result().flags & SHAKER_HALF_OPEN) != 0) && !down.half_open());
  EXPECT(down.down() && !down.up() && !down.no_verdict() && down.status() == SHAKER_REFUSED);
  EXPECT(mute.down() && mute.status() == SHAKER_TIMEOUT && mute.rtt() == 0us && mute.c_result().elapsed_us >= 500000);
  EXPECT(up.message(live) == up.message() && up.message("host:80") == "host:80: " + up.message());
  EXPECT(up.error_message().empty() && down.error_message() == std::strerror(ECONNREFUSED));
  EXPECT(up.message().find(live + " up") == 0 && down.message().find(dead + " refused") == 0);

  // A text that C would read only in part must not be taken for another address.
  for (const std::string &wrong : {std::string("nowhere"), std::string(), live + '\0' + "0"}) {
    Result none = checker.check(wrong);
    EXPECT(none.no_verdict() && !none.up() && !none.down() && none.status() == SHAKER_ERR_ADDRESS);
  }
}

static void a_timeout_that_has_run_out_is_short_and_not_the_default() {
  Checker checker(Config().timeout(10min));
  for (auto timeout : {0ms, -5ms, std::chrono::milliseconds::min()}) {
    shaker_status status = checker.check(silent, timeout).status();
    // On a busy machine its SYN may leave after that.
    EXPECT(status == SHAKER_TIMEOUT || status == SHAKER_ERR_BUSY);
  }
  EXPECT(checker.check(live, std::chrono::milliseconds::max()).up());
}

static void settings_that_cannot_be_are_refused() {
  Config config;
  EXPECT(refused([&] { config.timeout(0ms); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.timeout(-1ms); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.source("localhost"); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.source(std::string("127.0.0.1\0", 10)); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.bind_interface(""); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.family(99); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.threads(257); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.max_lookups(0); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { config.engine(static_cast<shaker_engine>(3)); }) == SHAKER_ERR_INVALID);
  // What was refused changed nothing, and what can be is used.
  config.threads(2).timeout(5s).max_in_flight(10).max_rate(0).max_lookups(4).family(AF_INET).zero_linger(true).tos(8);
  Checker checker(config.source("127.0.0.7").bind_interface("lo"));
  EXPECT(checker.check(live).up());
  EXPECT(checker.check("[::1]:9").status() == SHAKER_ERR_ADDRESS);
  const auto threads = entries("/proc/self/task");
  Checker driven(Config().caller_driven(true));
  EXPECT(driven.check(live).up() && entries("/proc/self/task") == threads);
}

static void each_submitted_check_is_reaped_once_and_the_descriptor_says_when() {
  constexpr std::size_t COUNT = 1000;
  Checker checker;
  std::vector<std::uint64_t> submitted, reaped;
  std::vector<Result> results;
  int mine;
  EXPECT(!readable(checker, 0) && checker.reap(results) == 0 && results.empty());
  for (std::size_t i = 0; i < COUNT; i++) submitted.push_back(checker.submit(live, 1min, &mine));
  std::size_t sum = 0;
  while (results.size() < COUNT && readable(checker, 60000)) sum += checker.reap(results);
  EXPECT(sum == COUNT && results.size() == COUNT && !readable(checker, 0));
  for (const Result &result : results) {
    EXPECT(result.up() && result.user_data() == &mine);
    reaped.push_back(result.id());
  }
  std::sort(reaped.begin(), reaped.end());
  std::sort(submitted.begin(), submitted.end());
  EXPECT(reaped == submitted);
  EXPECT(checker.stats().submitted == COUNT && checker.stats().up == COUNT);

  // Everything that a request of C can say goes, too.
  shaker_request request{};
  std::uint64_t id = 0;
  request.addr = dead.c_str();
  request.flags = SHAKER_IPV4;
  checker.submit(&request, 1, &id);
  EXPECT(checker.reap(results, 1min) == 1 && results.size() == COUNT + 1);
  EXPECT(results.back().id() == id && results.back().status() == SHAKER_REFUSED);
}

static bool may_set_marks() {
  const int probe = socket(AF_INET, SOCK_STREAM, 0), mark = 1;
  const bool may = setsockopt(probe, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0;
  close(probe);
  return may;
}

static void a_request_brings_its_own_mark() {
  Checker checker;
  shaker_request request{};
  request.addr = live.c_str();
  request.mark = 7;
  std::vector<Result> results{checker.check(request)};
  checker.submit(&request, 1);
  EXPECT(checker.reap(results, 1min) == 1);
  for (const Result &result : results) {
    if (may_set_marks()) {
      EXPECT(result.up());
    } else {
      EXPECT(result.status() == SHAKER_ERR_UNSUPPORTED && result.c_result().os_error == EPERM);
    }
  }
  request.mark = 0;
  EXPECT(checker.check(request).up());
  request.reserved[0] = 1;
  EXPECT(checker.check(request).status() == SHAKER_ERR_INVALID);
}

static void the_engine_is_raw_with_the_privilege_and_refused_without() {
  EXPECT(Checker().engine() == SHAKER_ENGINE_SOCKET);
  Checker automatic(Config().engine(SHAKER_ENGINE_AUTO).syn_interval(200ms));
  const auto refusal = refused([] { Checker(Config().engine(SHAKER_ENGINE_RAW)); });
  EXPECT(automatic.check(live).up());
  EXPECT(refusal ? automatic.engine() == SHAKER_ENGINE_SOCKET : automatic.engine() == SHAKER_ENGINE_RAW);
  if ((shaker_capabilities() & SHAKER_CAN_RAW) == 0) {
    EXPECT(refusal == SHAKER_ERR_UNSUPPORTED);
  } else {
    EXPECT(!refusal);
    Checker raw(Config().engine(SHAKER_ENGINE_RAW));
    Result up = raw.check(live);
    EXPECT(raw.engine() == SHAKER_ENGINE_RAW && up.up() && up.half_open() && raw.check(dead).down());
    shaker_request request{};
    request.addr = live.c_str();
    request.flags = SHAKER_FULL_HANDSHAKE;
    EXPECT(raw.check(request).status() == SHAKER_ERR_UNSUPPORTED);
  }
}

static void a_cancelled_check_has_no_verdict() {
  Checker checker;
  std::vector<Result> results;
  checker.cancel(checker.submit(silent, 10min));
  EXPECT(checker.reap(results, std::chrono::milliseconds::max()) == 1 && results[0].status() == SHAKER_ERR_CANCELLED);
}

static void what_is_moved_from_or_shut_down_checks_nothing() {
  Checker first;
  Checker second = std::move(first);
  std::vector<Result> results;
  EXPECT(second.check(live).up());
  EXPECT(first.check(live).status() == SHAKER_ERR_INVALID);  // NOLINT: moved from on purpose
  Config gone;
  const Config kept = std::move(gone.max_in_flight(1));
  EXPECT(refused([&] { Checker none(gone); }) == SHAKER_ERR_INVALID);  // NOLINT: moved from on purpose
  EXPECT(refused([&] { first.engine(); }) == SHAKER_ERR_INVALID);
  EXPECT(first.fd() == -1 && first.reap(results, 1min) == 0);
  EXPECT(refused([&] { first.submit(live); }) == SHAKER_ERR_INVALID);
  first = std::move(second);
  EXPECT(first.check(live).up());
  first.shutdown();
  EXPECT(first.check(live).status() == SHAKER_ERR_CLOSED);
  EXPECT(refused([&] { first.submit(live); }) == SHAKER_ERR_CLOSED);
  EXPECT(refused([&] { first.cancel(0); }) == SHAKER_ERR_CLOSED);
}

static void one_checker_serves_many_threads() {
  Checker checker;
  std::vector<std::thread> threads;
  std::atomic<int> up{0};
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int j = 0; j < 100; j++) up += checker.check(live).up();
    });
  }
  for (std::thread &thread : threads) thread.join();
  EXPECT(up == 400);
}

// A watch that is checked at once, and then never: what happens to it afterwards, the test brings about.
static Watch checked_once(const std::string &addr) {
  return Watch(addr).interval(1h).timeout(1min);
}

static void each_change_comes_to_the_callback_once_and_the_descriptor_says_when() {
  Checker checker;
  Monitor monitor(checker, MonitorConfig().max_spread(0ms));
  std::vector<Change> seen;
  const auto see = [&](const Change &change) { seen.push_back(change); };
  int mine, others;
  EXPECT(!readable(monitor, 0) && monitor.each(see) == 0 && monitor.each(see, 1ms) == 0);
  const std::vector<std::uint64_t> ids =
    monitor.add({checked_once(live).user_data(&mine), checked_once(dead).user_data(&others)});
  EXPECT(ids.size() == 2 && readable(monitor, 60000));
  while (seen.size() < 2 && monitor.each(see, 1min) > 0) continue;
  EXPECT(seen.size() == 2 && !readable(monitor, 0));
  for (const Change &change : seen) {
    const bool is_live = change.id() == ids[0];
    EXPECT(change.up() == is_live && change.down() == !is_live && change.user_data() == (is_live ? &mine : &others));
    EXPECT(change.from() == SHAKER_STATE_UNKNOWN && change.run() == 1 && !change.reported() && !change.skipped());
    EXPECT(change.last().status() == (is_live ? SHAKER_OK : SHAKER_REFUSED) && change.at() > 0us);
    EXPECT(change.last().message().find(is_live ? live : dead) == 0);
  }
  const shaker_watch_info known = monitor.info(ids[0]);
  EXPECT(known.state == SHAKER_STATE_UP && known.checks == 1 && known.changes == 1 && known.rtt_us > 0);
  monitor.check_now(ids[0]);
  while (monitor.info(ids[0]).checks < 2) std::this_thread::sleep_for(1ms);
  monitor.pause(ids[0]);
  EXPECT(monitor.info(ids[0]).paused == 1);
  monitor.pause(ids[0], false);
  EXPECT(monitor.info(ids[0]).paused == 0 && monitor.reap(seen) == 0);
}

// Reports a state again and again, until the watch has changed for it.
static void bring(Monitor &monitor, std::uint64_t id, bool up) {
  const int state = up ? SHAKER_STATE_UP : SHAKER_STATE_DOWN;
  for (int i = 0; i < 10 && monitor.info(id).state != state; i++) monitor.report(id, up);
  EXPECT(monitor.info(id).state == state);
}

static void a_callback_may_remove_and_throw_and_no_other_change_is_lost() {
  Checker checker;
  Monitor monitor(checker);
  std::vector<std::uint64_t> ids;
  for (int i = 0; i < 3; i++) {
    // The first check is somewhere in the interval: not while this test runs.
    ids.push_back(monitor.add(Watch(dead).interval(1000h)));
    bring(monitor, ids.back(), true);
  }
  std::vector<std::uint64_t> seen;
  const auto throws_at_first = [&](const Change &change) {
    seen.push_back(change.id());
    if (seen.size() == 1) throw std::runtime_error("the program's own");
    if (seen.size() == 2) monitor.remove(ids[2]);
  };
  try {
    monitor.each(throws_at_first);
    EXPECT(!"it threw");
  } catch (const std::runtime_error &error) {
    EXPECT(error.what() == std::string("the program's own"));
  }
  EXPECT(monitor.each(throws_at_first) == 1 && (seen == std::vector<std::uint64_t>{ids[0], ids[1]}));
  // Of a watch that changes faster than it is reaped the first change and the last are there.
  for (int i = 0; i < 9; i++) bring(monitor, ids[0], i % 2 != 0);
  std::vector<Change> changes;
  EXPECT(monitor.reap(changes, 1min) == 2 && changes.size() == 2);
  EXPECT(changes[0].down() && changes[0].reported() && !changes[0].skipped());
  EXPECT(changes[1].down() && changes[1].reported() && changes[1].skipped());
}

static void settings_of_monitors_and_watches_are_used_or_refused() {
  Checker checker;
  EXPECT(refused([] { MonitorConfig().max_down_percent(101); }) == SHAKER_ERR_INVALID);
  Monitor careful(checker, MonitorConfig().max_spread(0ms).max_down_percent(0).every_result(true));
  careful.add(Watch(dead).interval(5ms).timeout(1min));
  std::vector<Change> changes;
  for (int i = 0; i < 10000 && careful.held() == 0; i++) careful.reap(changes, 10ms);
  careful.reap(changes, 1min);
  EXPECT(careful.held() > 0 && !changes.empty());
  for (const Change &change : changes) EXPECT(change.to() == SHAKER_STATE_UNKNOWN && change.last().down());

  Monitor monitor(checker);
  for (const Watch &wrong : {Watch("nowhere"), Watch(live + '\0' + "0"), Watch("")}) {
    EXPECT(refused([&] { monitor.add({Watch(live), wrong}); }) == SHAKER_ERR_ADDRESS);
  }
  EXPECT(refused([&] { monitor.add(Watch(live).jitter_percent(51)); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { monitor.add(Watch(live).initial(static_cast<shaker_state>(3))); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { monitor.add(Watch(live).flags(1u << 31)); }) == SHAKER_ERR_INVALID);
  for (std::uint64_t none : {std::uint64_t{0}, UINT64_MAX}) {
    EXPECT(refused([&] { monitor.remove(none); }) == SHAKER_ERR_INVALID);
    EXPECT(refused([&] { monitor.pause(none); }) == SHAKER_ERR_INVALID);
    EXPECT(refused([&] { monitor.check_now(none); }) == SHAKER_ERR_INVALID);
    EXPECT(refused([&] { monitor.report(none, true); }) == SHAKER_ERR_INVALID);
    EXPECT(refused([&] { monitor.info(none); }) == SHAKER_ERR_INVALID);
  }
  // Each setter sets what it says.
  Watch all(live);
  all.timeout(1ms).interval(2ms).falling(3ms).rising(4ms).down(5ms).fall(6).rise(7).first_fall(8).first_rise(9);
  all.jitter_percent(10).initial(SHAKER_STATE_UP).flags(SHAKER_IPV4).mark(11).user_data(&all);
  const shaker_watch c = all.c_watch();
  EXPECT(c.timeout_ms == 1 && c.interval_ms == 2 && c.falling_ms == 3 && c.rising_ms == 4 && c.down_ms == 5);
  EXPECT(c.fall == 6 && c.rise == 7 && c.first_fall == 8 && c.first_rise == 9 && c.jitter_percent == 10);
  EXPECT(c.initial == SHAKER_STATE_UP && c.flags == SHAKER_IPV4 && c.mark == 11 && c.user_data == &all);
  EXPECT(c.addr == all.addr() && c.sockaddr == nullptr);
}

static void a_monitor_that_is_moved_from_or_shut_down_watches_nothing() {
  Checker checker;
  Monitor first(checker, MonitorConfig().max_spread(0ms));
  Monitor second = std::move(first);
  std::vector<Change> changes;
  second.add(checked_once(live));
  EXPECT(second.reap(changes, 1min) == 1 && changes[0].up());
  EXPECT(first.fd() == -1 && first.held() == 0 && first.reap(changes, 1min) == 0);  // NOLINT: moved from on purpose
  EXPECT(first.each([](const Change &) {}, 1min) == 0);
  EXPECT(refused([&] { first.add(Watch(live)); }) == SHAKER_ERR_INVALID);
  EXPECT(refused([&] { first.info(1); }) == SHAKER_ERR_INVALID);
  first = std::move(second);
  checker.shutdown();
  EXPECT(refused([&] { Monitor none(checker); }) == SHAKER_ERR_CLOSED);
  EXPECT(first.reap(changes, milliseconds::max()) == 0);
  EXPECT(refused([&] { first.add(Watch(live)); }) == SHAKER_ERR_CLOSED);
  Checker moved = std::move(checker);
  EXPECT(refused([&] { Monitor none(checker); }) == SHAKER_ERR_INVALID);  // NOLINT: moved from on purpose
  MonitorConfig gone;
  const MonitorConfig kept = std::move(gone);
  EXPECT(refused([&] { Monitor none(moved, gone); }) == SHAKER_ERR_INVALID);  // NOLINT: moved from on purpose
}

// Whether there are no more than so many; the kernel lists a thread for a moment longer than it runs.
static bool no_more_than(std::ptrdiff_t count, const char *directory) {
  for (int tries = 0; tries < 1000 && entries(directory) != count; tries++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return entries(directory) == count;
}

int main(int, char **argv) {
  live = argv[1], dead = argv[2], silent = argv[3];
  const auto threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
  verdicts_are_values();
  a_timeout_that_has_run_out_is_short_and_not_the_default();
  settings_that_cannot_be_are_refused();
  each_submitted_check_is_reaped_once_and_the_descriptor_says_when();
  a_request_brings_its_own_mark();
  the_engine_is_raw_with_the_privilege_and_refused_without();
  a_cancelled_check_has_no_verdict();
  what_is_moved_from_or_shut_down_checks_nothing();
  one_checker_serves_many_threads();
  each_change_comes_to_the_callback_once_and_the_descriptor_says_when();
  a_callback_may_remove_and_throw_and_no_other_change_is_lost();
  settings_of_monitors_and_watches_are_used_or_refused();
  a_monitor_that_is_moved_from_or_shut_down_watches_nothing();
  EXPECT(no_more_than(threads, "/proc/self/task"));
  EXPECT(no_more_than(descriptors, "/proc/self/fd"));
  return failures == 0 ? 0 : 1;
}
