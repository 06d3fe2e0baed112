// Checks TCP ports with libtcpshaker from C++17: the first one blocking, then all of them at once, waiting on the
// checker's descriptor.
//
//     c++ -std=c++17 check.cpp $(pkg-config --cflags --libs tcpshaker) -o check && ./check host:port...
#include <poll.h>

#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include <tcpshaker.hpp>

using namespace std::chrono_literals;

static const char *verdict(const tcpshaker::Result &result) {
  return result.up() ? "up" : result.down() ? "down" : "no verdict";
}

static void check_all(tcpshaker::Checker &checker, std::vector<std::string> &targets) {
  for (std::string &target : targets) checker.submit(target, 1s, &target);

  pollfd watched{checker.fd(), POLLIN, 0};
  std::vector<tcpshaker::Result> results;
  for (std::size_t left = targets.size(); left > 0; left -= results.size()) {
    poll(&watched, 1, -1);  // a real program waits for its other descriptors here too
    results.clear();
    checker.reap(results);
    for (const tcpshaker::Result &result : results) {
      const auto &target = *static_cast<std::string *>(result.user_data());
      std::cout << target << ": " << verdict(result) << " (" << result.message() << ")\n";
    }
  }
}

int main(int argc, char **argv) {
  if (argc < 2) {
    std::cerr << "usage: check host:port...\n";
    return 2;
  }
  std::vector<std::string> targets(argv + 1, argv + argc);
  tcpshaker::Checker checker(tcpshaker::Config().timeout(1s).max_in_flight(100));
  std::cout << "blocking: " << checker.check(targets[0]).message() << "\n";
  check_all(checker, targets);
  return 0;
}
