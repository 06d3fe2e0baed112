/* Checkers of each kind, as a program's first argument names them: socket, raw, driven, raw-driven. */
#ifndef KINDS_H
#define KINDS_H

#include "expect.h"

static const char *kind;

static inline int is_raw_kind(void) {
  return strncmp(kind, "raw", 3) == 0;
}

static inline int is_driven_kind(void) {
  return strstr(kind, "driven") != NULL;
}

/* At its defaults, but as patient as the tests are. */
static inline shaker_checker *checker_of_kind(uint32_t loops) {
  shaker_checker *checker = NULL;
  shaker_config *config = shaker_config_new();
  NEED(config != NULL && shaker_config_set_timeout(config, PATIENCE_MS) == SHAKER_OK);
  NEED(!is_raw_kind() || shaker_config_set_engine(config, SHAKER_ENGINE_RAW) == SHAKER_OK);
  NEED(is_driven_kind() || shaker_config_set_threads(config, loops) == SHAKER_OK);
  NEED(shaker_config_set_caller_driven(config, is_driven_kind()) == SHAKER_OK);
  NEED(shaker_checker_new(config, &checker) == SHAKER_OK && checker != NULL);
  shaker_config_free(config);
  return checker;
}

/* A monitor that checks at once. */
static inline shaker_monitor *monitor_of(shaker_checker *checker) {
  shaker_monitor *monitor = NULL;
  shaker_monitor_config *config = shaker_monitor_config_new();
  NEED(config != NULL && shaker_monitor_config_set_max_spread(config, 0) == SHAKER_OK);
  NEED(shaker_monitor_new(checker, config, &monitor) == SHAKER_OK);
  shaker_monitor_config_free(config);
  return monitor;
}

#endif
