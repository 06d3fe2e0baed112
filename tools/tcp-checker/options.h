/* The command line and the target list. */
#ifndef TCP_CHECKER_OPTIONS_H
#define TCP_CHECKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tcpshaker.h"

/* Exit statuses, beside 0: every check found its target up. */
enum { EXIT_SOME_DOWN = 1, EXIT_USAGE = 2, EXIT_NO_VERDICT = 3 };

struct target {
    char *text;         /* "host:port" as it was given */
    const char *origin; /* the file it came from; NULL: the command line */
    size_t line;
    bool malformed;     /* already reported, however often it is checked */
};

struct options {
    shaker_config *config;
    struct target *targets;
    size_t target_count;
    uint64_t checks; /* of all targets together */
    uint32_t at_once;
    uint32_t timeout_ms;
    uint32_t rate;   /* checks a second; 0: no limit */
    int32_t engine;  /* a shaker_engine */
    bool json;
    bool metrics;
    int verbose;     /* 1: checks that are not up; 2: every check */
};

/* Ends the program with EXIT_USAGE, and says why, if anything is wrong. */
void options_read(struct options *options, int argc, char **argv);
void options_free(struct options *options);

#endif
