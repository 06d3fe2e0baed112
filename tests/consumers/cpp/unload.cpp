// A program's plug-in that checks ports: loaded at run time, used, unloaded, and nothing of the library stays.
//
//     ./unload PLUGIN LIVE DEAD SILENT
//
// The plug-in is check.cpp as a shared object. This program is not linked to the library.
#include <dlfcn.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>

static std::ptrdiff_t entries(const char *directory) {
  return std::distance(std::filesystem::directory_iterator(directory), std::filesystem::directory_iterator());
}

// Whether there are no more than so many; the kernel lists a thread for a moment longer than it runs.
static bool no_more_than(std::ptrdiff_t count, const char *directory) {
  for (int tries = 0; tries < 1000 && entries(directory) != count; tries++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return entries(directory) == count;
}

static bool library_is_mapped() {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libtcpshaker.so.0.1") != std::string::npos) return true;
  }
  return false;
}

static bool expect(bool condition, const char *otherwise) {
  if (!condition) std::cerr << otherwise << '\n';
  return condition;
}

int main(int argc, char **argv) {
  const auto threads = entries("/proc/self/task"), descriptors = entries("/proc/self/fd");
  bool good = expect(!library_is_mapped(), "the library is there before it is loaded");
  void *plugin = dlopen(argv[1], RTLD_NOW);
  if (!expect(plugin != nullptr, "the plug-in cannot be loaded")) return std::cerr << dlerror() << '\n', 1;
  auto check = reinterpret_cast<int (*)(int, char **)>(dlsym(plugin, "check"));
  good &= expect(library_is_mapped(), "the plug-in came without the library");
  good &= expect(check(argc - 1, argv + 1) == 0, "the check failed");
  dlclose(plugin);
  good &= expect(!library_is_mapped(), "the library is still there after it was unloaded");
  good &= expect(no_more_than(threads, "/proc/self/task"), "a thread is left");
  good &= expect(no_more_than(descriptors, "/proc/self/fd"), "a descriptor is left");
  return good ? 0 : 1;
}
