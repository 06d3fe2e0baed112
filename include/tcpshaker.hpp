// libtcpshaker for C++17: the C library with its ownership in the types. Header-only; link with -ltcpshaker.
//
//     tcpshaker::Checker checker;
//     tcpshaker::Result result = checker.check("example.com:443", std::chrono::seconds(1));
//     std::cout << (result.up() ? "up" : result.down() ? "down" : "don't know") << ": " << result.message() << '\n';
//
// Verdicts are values, whatever they say. An exception, tcpshaker::Error, means that there is no checker or that the
// library refused the call: a setting that cannot be, or a checker that was shut down. Compiled without exceptions
// these end the program.
//
// Monitors are in tcpshaker_monitor.hpp, which comes with this header.
//
// A Checker may be shared by threads as the C library says; tcpshaker.h is the reference for everything here.
#ifndef TCPSHAKER_HPP
#define TCPSHAKER_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tcpshaker.h"

namespace tcpshaker {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// What the library refused to do, and why.
class Error : public std::runtime_error {
 public:
  Error(const char *what, shaker_status status)
      : std::runtime_error(std::string(what) + ": " + shaker_status_str(status)), status_(status) {}
  shaker_status status() const noexcept { return status_; }

 private:
  shaker_status status_;
};

namespace detail {

inline void must(const char *what, shaker_status status) {
  if (status == SHAKER_OK) return;
#if defined(__cpp_exceptions) || defined(_CPPUNWIND)
  throw Error(what, status);
#else
  std::fprintf(stderr, "%s: %s\n", what, shaker_status_str(status));
  std::abort();
#endif
}

// Of a moved-from configuration nothing is left, which C would take for the defaults.
template <typename Settings>
Settings *settings(Settings *given) {
  if (given == nullptr) must("a configuration that was moved from", SHAKER_ERR_INVALID);
  return given;
}

// As C has it. A time that has run out is no reason to take another one, so it is at least `least`.
inline std::uint32_t ms(milliseconds time, std::uint32_t least) noexcept {
  if (time.count() <= static_cast<std::int64_t>(least)) return least;
  return time.count() < UINT32_MAX ? static_cast<std::uint32_t>(time.count()) : UINT32_MAX;
}

// A NUL inside would cut a text short, and make another address of it; an empty one is refused everywhere.
inline const char *text(const std::string &text) noexcept {
  return text.find('\0') == std::string::npos ? text.c_str() : "";
}

// Appends all that waits in the library to be reaped, and returns how much.
template <typename Owner, typename Reaped, typename Item>
std::size_t reap(Owner *owner, std::size_t (*take)(Owner *, Reaped *, std::size_t, std::uint32_t),
                 std::vector<Item> &items, milliseconds wait) {
  constexpr std::size_t BATCH = 64;
  Reaped batch[BATCH];
  std::size_t before = items.size(), count = BATCH;
  for (std::uint32_t wait_ms = ms(wait, 0); count == BATCH; wait_ms = 0) {
    // Room first: what was taken from the library must not be lost for want of memory.
    if (items.capacity() - items.size() < BATCH) items.reserve(2 * items.capacity() + BATCH);
    count = take(owner, batch, BATCH, wait_ms);
    for (std::size_t i = 0; i < count; i++) items.emplace_back(batch[i]);
  }
  return items.size() - before;
}

struct Free {
  void operator()(shaker_config *config) const noexcept { shaker_config_free(config); }
  void operator()(shaker_checker *checker) const noexcept { shaker_checker_free(checker); }
  void operator()(shaker_monitor_config *config) const noexcept { shaker_monitor_config_free(config); }
  void operator()(shaker_monitor *monitor) const noexcept { shaker_monitor_free(monitor); }
};

}  // namespace detail

// What one check learned: exactly one of up, down and no_verdict.
class Result {
 public:
  explicit Result(const shaker_result &result) noexcept : result_(result) {}

  bool up() const noexcept { return result_.status == SHAKER_OK; }
  bool down() const noexcept { return result_.status > SHAKER_OK; }
  bool no_verdict() const noexcept { return result_.status < SHAKER_OK; }
  bool half_open() const noexcept { return (result_.flags & SHAKER_HALF_OPEN) != 0; }
  bool zero_window() const noexcept { return (result_.flags & SHAKER_ZERO_WINDOW) != 0; }
  shaker_status status() const noexcept { return result_.status; }
  microseconds rtt() const noexcept { return microseconds(result_.rtt_us); }
  std::uint64_t id() const noexcept { return result_.id; }
  void *user_data() const noexcept { return result_.user_data; }
  // Everything that C knows.
  const shaker_result &c_result() const noexcept { return result_; }
  // As one line of English; with the target that was asked for, where it is not the address that was checked.
  std::string message() const {
    return text([this](char *buffer, std::size_t n) { return shaker_result_str(&result_, buffer, n); });
  }
  std::string message(const std::string &target) const {
    return text(
      [&](char *buffer, std::size_t n) { return shaker_result_describe(&result_, detail::text(target), buffer, n); });
  }
  // What the errno (EAI_ code, Winsock's code) behind the status means; empty if there is none.
  std::string error_message() const {
    return text([this](char *buffer, std::size_t n) { return shaker_result_error_str(&result_, buffer, n); });
  }

 private:
  template <typename Write>
  static std::string text(Write write) {
    std::string text(write(nullptr, 0), '\0');
    write(&text[0], text.size() + 1);
    return text;
  }
  shaker_result result_;
};

// The settings of a checker; each setter returns the configuration, and throws if the value cannot be.
class Config {
 public:
  Config() : config_(shaker_config_new()) {
    if (config_ == nullptr) detail::must("shaker_config_new", SHAKER_ERR_INTERNAL);
  }

  Config &engine(shaker_engine engine) { return set("engine", shaker_config_set_engine(get(), engine)); }
  Config &threads(std::uint32_t loops) { return set("threads", shaker_config_set_threads(get(), loops)); }
  Config &timeout(milliseconds time) { return set("timeout", shaker_config_set_timeout(get(), detail::ms(time, 0))); }
  Config &max_in_flight(std::uint32_t n) { return set("max_in_flight", shaker_config_set_max_in_flight(get(), n)); }
  Config &max_rate(std::uint32_t a_second) { return set("max_rate", shaker_config_set_max_rate(get(), a_second)); }
  Config &max_lookups(std::uint32_t n) { return set("max_lookups", shaker_config_set_max_lookups(get(), n)); }
  Config &syn_interval(milliseconds time) {
    return set("syn_interval", shaker_config_set_syn_interval(get(), detail::ms(time, 0)));
  }
  Config &caller_driven(bool on) { return set("caller_driven", shaker_config_set_caller_driven(get(), on)); }
  Config &family(int family) { return set("family", shaker_config_set_family(get(), family)); }
  Config &zero_linger(bool on) { return set("zero_linger", shaker_config_set_zero_linger(get(), on)); }
  Config &source(const std::string &ip) { return set("source", shaker_config_set_source(get(), detail::text(ip))); }
  // Not "interface", which is a macro of Windows' headers.
  Config &bind_interface(const std::string &name) {
    return set("bind_interface", shaker_config_set_interface(get(), detail::text(name)));
  }
  Config &network_namespace(const std::string &path) {
    return set("network_namespace", shaker_config_set_network_namespace(get(), detail::text(path)));
  }
  Config &mark(std::uint32_t mark) { return set("mark", shaker_config_set_mark(get(), mark)); }
  Config &tos(std::uint8_t tos) { return set("tos", shaker_config_set_tos(get(), tos)); }
  shaker_config *get() const noexcept { return config_.get(); }

 private:
  Config &set(const char *what, shaker_status status) {
    detail::must(what, status);
    return *this;
  }
  std::unique_ptr<shaker_config, detail::Free> config_;
};

// Checks TCP ports. Can be moved, not copied; a moved-from one gives no verdict and refuses everything else.
class Checker {
 public:
  Checker() : checker_(make(nullptr)) {}
  explicit Checker(const Config &config) : checker_(make(detail::settings(config.get()))) {}

  // Waits for the verdict, for as long as the timeout; without one, for the checker's own.
  Result check(const std::string &addr, milliseconds timeout) { return check_for(addr, detail::ms(timeout, 1)); }
  Result check(const std::string &addr) { return check_for(addr, 0); }
  // With everything that a request of C can say, such as a mark of its own.
  Result check(const shaker_request &request) {
    shaker_result result{};
    shaker_check(get(), &request, &result);
    return Result(result);
  }

  // Returns at once, with the check's id; its result is there to be reaped later, and brings user_data back.
  std::uint64_t submit(const std::string &addr, milliseconds timeout, void *user_data = nullptr) {
    return submit_for(addr, detail::ms(timeout, 1), user_data);
  }
  std::uint64_t submit(const std::string &addr, void *user_data = nullptr) { return submit_for(addr, 0, user_data); }
  // Many at once, with everything that a request of C can say; ids may be null.
  void submit(const shaker_request *requests, std::size_t count, std::uint64_t *ids = nullptr) {
    detail::must("shaker_submit", shaker_submit(get(), requests, count, ids));
  }

  // Appends all results that wait to be reaped, and returns how many. If there are none it waits for the first, for
  // so long; milliseconds::max() is for ever.
  std::size_t reap(std::vector<Result> &results, milliseconds wait = milliseconds(0)) {
    return detail::reap(get(), shaker_reap, results, wait);
  }

  // Readable exactly while results wait to be reaped: for poll and event loops; never read, write or close it.
  int fd() const noexcept { return shaker_checker_fd(get()); }
  // SHAKER_ENGINE_SOCKET or SHAKER_ENGINE_RAW, whichever SHAKER_ENGINE_AUTO came to.
  shaker_engine engine() const {
    const std::int32_t engine = shaker_checker_engine(get());
    if (engine < 0) detail::must("shaker_checker_engine", static_cast<shaker_status>(engine));
    return static_cast<shaker_engine>(engine);
  }
  // 0 cancels every check.
  void cancel(std::uint64_t id) { detail::must("shaker_cancel", shaker_cancel(get(), id)); }
  void shutdown() noexcept { shaker_checker_shutdown(get()); }
  shaker_stats stats() const {
    shaker_stats stats{};
    detail::must("shaker_checker_stats", shaker_checker_stats(get(), &stats, sizeof stats));
    return stats;
  }
  // For everything else that C can do with it; it stays this object's.
  shaker_checker *get() const noexcept { return checker_.get(); }

 private:
  static shaker_checker *make(const shaker_config *config) {
    shaker_checker *checker = nullptr;
    detail::must("shaker_checker_new", shaker_checker_new(config, &checker));
    return checker;
  }
  Result check_for(const std::string &addr, std::uint32_t timeout_ms) {
    shaker_result result{};
    shaker_check_addr(get(), detail::text(addr), timeout_ms, &result);
    return Result(result);
  }
  std::uint64_t submit_for(const std::string &addr, std::uint32_t timeout_ms, void *user_data) {
    shaker_request request{};
    std::uint64_t id = 0;
    request.addr = detail::text(addr);
    request.timeout_ms = timeout_ms;
    request.user_data = user_data;
    submit(&request, 1, &id);
    return id;
  }
  std::unique_ptr<shaker_checker, detail::Free> checker_;
};

}  // namespace tcpshaker

#include "tcpshaker_monitor.hpp"  // IWYU pragma: export

#endif  // TCPSHAKER_HPP
