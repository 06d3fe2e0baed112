// libtcpshaker's monitors for C++17: targets that are checked again and again.
//
//     tcpshaker::Monitor monitor(checker);
//     monitor.add(tcpshaker::Watch("example.com:443").interval(std::chrono::seconds(1)));
//     monitor.each([](const tcpshaker::Change &change) { ... }, milliseconds::max());
//
// Include tcpshaker.hpp, which has the rest of the wrapper and says how it reports errors.
#ifndef TCPSHAKER_MONITOR_HPP
#define TCPSHAKER_MONITOR_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tcpshaker.hpp"

namespace tcpshaker {

// A target to be checked again and again. What is not set is as HAProxy has it. Each setter returns the watch; what cannot
// be is refused when the watch is added.
class Watch {
 public:
  explicit Watch(std::string addr) : addr_(std::move(addr)) {}

  Watch &timeout(milliseconds time) noexcept { return set(watch_.timeout_ms, detail::ms(time, 1)); }
  // From a verdict to the start of the next check: while up and well; while up after a failure; while down or unknown after
  // a success; while down. The other three are as the first, unless they are set.
  Watch &interval(milliseconds time) noexcept { return set(watch_.interval_ms, detail::ms(time, 1)); }
  Watch &falling(milliseconds time) noexcept { return set(watch_.falling_ms, detail::ms(time, 1)); }
  Watch &rising(milliseconds time) noexcept { return set(watch_.rising_ms, detail::ms(time, 1)); }
  Watch &down(milliseconds time) noexcept { return set(watch_.down_ms, detail::ms(time, 1)); }
  // How many verdicts in a row take it down, or bring it up; and the same for the first verdicts of all.
  Watch &fall(std::uint32_t failures) noexcept { return set(watch_.fall, failures); }
  Watch &rise(std::uint32_t successes) noexcept { return set(watch_.rise, successes); }
  Watch &first_fall(std::uint32_t failures) noexcept { return set(watch_.first_fall, failures); }
  Watch &first_rise(std::uint32_t successes) noexcept { return set(watch_.first_rise, successes); }
  Watch &jitter_percent(std::uint32_t percent) noexcept { return set(watch_.jitter_percent, percent); }
  // What holds before the first verdict.
  Watch &initial(shaker_state state) noexcept { return set(watch_.initial, static_cast<std::int32_t>(state)); }
  // SHAKER_IPV4 and its like.
  Watch &flags(std::uint32_t flags) noexcept { return set(watch_.flags, flags); }
  Watch &mark(std::uint32_t mark) noexcept { return set(watch_.mark, mark); }
  Watch &user_data(void *user_data) noexcept { return set(watch_.user_data, user_data); }
  const std::string &addr() const noexcept { return addr_; }
  // As C has it, for as long as this watch is neither changed nor gone.
  shaker_watch c_watch() const noexcept {
    shaker_watch watch = watch_;
    watch.addr = detail::text(addr_);
    return watch;
  }

 private:
  template <typename Value>
  Watch &set(Value &field, Value value) noexcept {
    field = value;
    return *this;
  }
  std::string addr_;
  shaker_watch watch_{};
};

// The state of a watch has changed; or where every result is asked for, a check of it has ended.
class Change {
 public:
  explicit Change(const shaker_change &change) noexcept : change_(change) {}

  std::uint64_t id() const noexcept { return change_.id; }
  void *user_data() const noexcept { return change_.user_data; }
  shaker_state from() const noexcept { return static_cast<shaker_state>(change_.from); }
  shaker_state to() const noexcept { return static_cast<shaker_state>(change_.to); }
  bool up() const noexcept { return change_.to == SHAKER_STATE_UP; }
  bool down() const noexcept { return change_.to == SHAKER_STATE_DOWN; }
  // Verdicts in a row that led here.
  std::uint32_t run() const noexcept { return change_.run; }
  // By Monitor::report, not by a check.
  bool reported() const noexcept { return (change_.flags & SHAKER_CHANGE_REPORTED) != 0; }
  // Changes of this watch between the one before and this one came faster than they were reaped, and are gone.
  bool skipped() const noexcept { return (change_.flags & SHAKER_CHANGE_SKIPPED) != 0; }
  // When, by CLOCK_MONOTONIC.
  microseconds at() const noexcept { return microseconds(static_cast<std::int64_t>(change_.at_us)); }
  Result last() const noexcept { return Result(change_.last); }
  const shaker_change &c_change() const noexcept { return change_; }

 private:
  shaker_change change_;
};

// The settings of a monitor; each setter returns the configuration, and throws if the value cannot be.
class MonitorConfig {
 public:
  MonitorConfig() : config_(shaker_monitor_config_new()) {
    if (config_ == nullptr) detail::must("shaker_monitor_config_new", SHAKER_ERR_INTERNAL);
  }

  MonitorConfig &max_spread(milliseconds time) {
    return set("max_spread", shaker_monitor_config_set_max_spread(get(), detail::ms(time, 0)));
  }
  MonitorConfig &every_result(bool on) {
    return set("every_result", shaker_monitor_config_set_every_result(get(), on));
  }
  MonitorConfig &max_down_percent(std::uint32_t percent) {
    return set("max_down_percent", shaker_monitor_config_set_max_down_percent(get(), percent));
  }
  shaker_monitor_config *get() const noexcept { return config_.get(); }

 private:
  MonitorConfig &set(const char *what, shaker_status status) {
    detail::must(what, status);
    return *this;
  }
  std::unique_ptr<shaker_monitor_config, detail::Free> config_;
};

// Checks targets again and again, and tells when the state of one changes. Can be moved, not copied; a moved-from one
// tells nothing and refuses everything else. It goes before its checker does: declare it after that.
class Monitor {
 public:
  explicit Monitor(Checker &checker) : monitor_(make(checker, nullptr)) {}
  Monitor(Checker &checker, const MonitorConfig &config) : monitor_(make(checker, detail::settings(config.get()))) {}

  // Returns the watch's id.
  std::uint64_t add(const Watch &watch) {
    std::uint64_t id = 0;
    const shaker_watch c_watch = watch.c_watch();
    add(&c_watch, 1, &id);
    return id;
  }
  // Many at once, all or none; returns their ids.
  std::vector<std::uint64_t> add(const std::vector<Watch> &watches) {
    std::vector<shaker_watch> c_watches;
    c_watches.reserve(watches.size());
    for (const Watch &watch : watches) c_watches.push_back(watch.c_watch());
    std::vector<std::uint64_t> ids(watches.size());
    add(c_watches.data(), c_watches.size(), ids.data());
    return ids;
  }
  // With everything that C can say, such as a socket address; ids may be null.
  void add(const shaker_watch *watches, std::size_t count, std::uint64_t *ids = nullptr) {
    detail::must("shaker_monitor_add", shaker_monitor_add(get(), watches, count, ids));
  }
  void remove(std::uint64_t id) { remove(&id, 1); }
  void remove(const std::uint64_t *ids, std::size_t count) {
    detail::must("shaker_monitor_remove", shaker_monitor_remove(get(), ids, count));
  }
  void pause(std::uint64_t id, bool paused = true) {
    detail::must("shaker_monitor_pause", shaker_monitor_pause(get(), id, paused));
  }
  void check_now(std::uint64_t id) { detail::must("shaker_monitor_check_now", shaker_monitor_check_now(get(), id)); }
  // What the program's own traffic saw of a target: counts as one verdict.
  void report(std::uint64_t id, bool up) {
    detail::must("shaker_monitor_report", shaker_monitor_report(get(), id, up));
  }
  // What is known of a watch.
  shaker_watch_info info(std::uint64_t id) const {
    shaker_watch_info info{};
    detail::must("shaker_monitor_get", shaker_monitor_get(get(), id, &info, sizeof info));
    return info;
  }
  // How many changes to down were held back.
  std::uint64_t held() const noexcept { return shaker_monitor_held(get()); }

  // Calls back with each change that waits, and returns how many. If there are none it waits for the first, for so long;
  // milliseconds::max() is for ever. The callback may use the monitor: of a watch that it removes it hears no more. What
  // it throws comes through, and the changes that it has not seen wait for the next call.
  template <typename Callback>
  std::size_t each(Callback &&callback, milliseconds wait = milliseconds(0)) {
    shaker_change change;
    std::size_t count = 0;
    std::uint32_t wait_ms = detail::ms(wait, 0);
    // One at a time, so that none is taken from the library that the callback does not come to see.
    for (; shaker_monitor_reap(get(), &change, 1, wait_ms) == 1; wait_ms = 0, count++) callback(Change(change));
    return count;
  }
  // Appends all changes that wait, and returns how many; waits as `each` does.
  std::size_t reap(std::vector<Change> &changes, milliseconds wait = milliseconds(0)) {
    return detail::reap(get(), shaker_monitor_reap, changes, wait);
  }

  // Readable exactly while changes wait: for poll and event loops; never read, write or close it.
  int fd() const noexcept { return shaker_monitor_fd(get()); }
  // For everything else that C can do with it; it stays this object's.
  shaker_monitor *get() const noexcept { return monitor_.get(); }

 private:
  static shaker_monitor *make(Checker &checker, const shaker_monitor_config *config) {
    shaker_monitor *monitor = nullptr;
    detail::must("shaker_monitor_new", shaker_monitor_new(checker.get(), config, &monitor));
    return monitor;
  }
  std::unique_ptr<shaker_monitor, detail::Free> monitor_;
};

}  // namespace tcpshaker

#endif  // TCPSHAKER_MONITOR_HPP
