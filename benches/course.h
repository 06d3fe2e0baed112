/* What the bench's C programs share: clocks, and a checker for the course. */
#ifndef COURSE_H
#define COURSE_H

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tcpshaker.h"

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static inline double user_cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_utime.tv_usec * 1e-6;
}

static inline double cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

static inline void die(const char *what) {
  fprintf(stderr, "%s\n", what);
  exit(1);
}

static inline struct sockaddr_in target_at(const char *ip, uint16_t port) {
  struct sockaddr_in target = {.sin_family = AF_INET, .sin_port = htons(port)};
  inet_pton(AF_INET, ip, &target.sin_addr);
  return target;
}

static inline shaker_request request_for(const struct sockaddr_in *target, uint32_t timeout_ms) {
  shaker_request request;
  memset(&request, 0, sizeof request);
  request.sockaddr = (const struct sockaddr *)target;
  request.sockaddr_len = sizeof *target;
  request.timeout_ms = timeout_ms;
  return request;
}

/* SHAKER_SYN_INTERVAL in the environment is the interval of SYNs in milliseconds, 0 for one SYN a check. */
/* SHAKER_ENGINE in the environment names the engine: socket (as without it), raw or auto. */
static inline int32_t engine(void) {
  const char *name = getenv("SHAKER_ENGINE");
  if (!name || !strcmp(name, "socket")) return SHAKER_ENGINE_SOCKET;
  if (!strcmp(name, "raw")) return SHAKER_ENGINE_RAW;
  if (!strcmp(name, "auto")) return SHAKER_ENGINE_AUTO;
  die("SHAKER_ENGINE is socket, raw or auto");
  return 0;
}

/* window 0: the default; loops 0: the caller drives the checker */
static inline shaker_checker *checker_of(uint32_t window, uint32_t loops) {
  shaker_config *config = shaker_config_new();
  shaker_checker *checker;
  if (window && shaker_config_set_max_in_flight(config, window)) die("window");
  if (shaker_config_set_engine(config, engine())) die("engine");
  const char *interval = getenv("SHAKER_SYN_INTERVAL");
  if (interval && shaker_config_set_syn_interval(config, (uint32_t)atoi(interval))) die("interval");
  if (loops ? shaker_config_set_threads(config, loops) : shaker_config_set_caller_driven(config, true)) die("loops");
  if (shaker_checker_new(config, &checker)) die("checker");
  shaker_config_free(config);
  return checker;
}

static inline shaker_stats stats_of(const shaker_checker *checker) {
  shaker_stats stats;
  if (shaker_checker_stats(checker, &stats, sizeof stats)) die("stats");
  return stats;
}

#endif
