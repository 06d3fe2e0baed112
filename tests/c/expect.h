/* What the test programs share: expectations that report and go on, and patience that does not last for ever.
 * Included before anything else. A program prints nothing while all is well, so that whatever is seen of one was
 * printed by the library, or is a failure. */
#ifndef EXPECT_H
#define EXPECT_H

#define _GNU_SOURCE

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tcpshaker.h"

/* Nothing takes a hundredth of this; it only keeps a hang from lasting for ever. */
#define PATIENCE_MS 60000

static atomic_int failures;

static inline void fail(const char *file, int line, const char *expected) {
  fprintf(stderr, "%s:%d: expected %s\n", file, line, expected);
  failures++;
}

static inline void compare(const char *file, int line, const char *left_text, const char *right_text, long long left,
                           long long right) {
  if (left == right) return;
  fprintf(stderr, "%s:%d: %s is %lld, expected %s (%lld)\n", file, line, left_text, left, right_text, right);
  failures++;
}

#define EXPECT(condition) ((condition) ? (void)0 : fail(__FILE__, __LINE__, #condition))
#define EXPECT_EQ(left, right) compare(__FILE__, __LINE__, #left, #right, (long long)(left), (long long)(right))

static inline void pause_ms(long ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

static inline long long now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits until the condition holds, and does not ask again after that. */
#define UNTIL(condition)                                       \
  do {                                                         \
    long long give_up = now_ms() + PATIENCE_MS;                \
    int holds;                                                 \
    while (!(holds = (condition)) && now_ms() < give_up) pause_ms(1); \
    if (!holds) fail(__FILE__, __LINE__, #condition);          \
  } while (0)

/* What cannot fail unless the machine is at fault. */
#define NEED(condition)                                                        \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #condition, strerror(errno)); \
      exit(2);                                                                 \
    }                                                                          \
  } while (0)

static inline int outcome(void) {
  return failures != 0;
}

/* Whether the tests' checkers have no thread of their own, and get on only inside the calls of the tests. */
static inline int is_driven(void) {
  const char *set = getenv("TCPSHAKER_DRIVEN");
  return set != NULL && *set != '\0';
}

/* Whether the tests' checkers make their segments themselves. */
static inline int is_raw(void) {
  const char *set = getenv("TCPSHAKER_ENGINE");
  return set != NULL && strcmp(set, "raw") == 0;
}

/* The default settings, but for the engine and for what drives the checker, and without early SYNs: a check has one socket, and can be counted. */
static inline shaker_config *new_config(void) {
  shaker_config *config = shaker_config_new();
  NEED(config != NULL && shaker_config_set_caller_driven(config, is_driven()) == SHAKER_OK);
  NEED(shaker_config_set_syn_interval(config, 0) == SHAKER_OK);
  NEED(!is_raw() || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  return config;
}

/* Has a caller-driven checker get on, without waiting and without taking results. */
static inline void drive(const shaker_checker *checker) {
  shaker_result none;
  if (is_driven()) EXPECT_EQ(shaker_reap((shaker_checker *)checker, &none, 0, 0), 0);
}

/* Waits for what the checker's callbacks do. */
#define UNTIL_CALLED(checker, condition) UNTIL((drive(checker), (condition)))

/* A checker at its defaults, but as patient as the tests are: a check that names no timeout has an answer to come. */
static inline shaker_checker *new_checker(void) {
  shaker_checker *checker = NULL;
  shaker_config *config = new_config();
  NEED(shaker_config_set_timeout(config, PATIENCE_MS) == SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK && checker != NULL);
  shaker_config_free(config);
  return checker;
}

static inline shaker_stats stats_of(const shaker_checker *checker) {
  shaker_stats stats;
  drive(checker); /* for those who wait until they are as they should be */
  memset(&stats, 0xAA, sizeof stats);
  EXPECT_EQ(shaker_checker_stats(checker, &stats, sizeof stats), SHAKER_OK);
  return stats;
}

#endif
