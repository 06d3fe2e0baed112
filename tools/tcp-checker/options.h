/* What the command line asks for. */
#ifndef TCP_CHECKER_OPTIONS_H
#define TCP_CHECKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "targets.h"
#include "tcpshaker.h"

/* Exit statuses, beside 0: every check found its target up. */
enum { EXIT_SOME_DOWN = 1, EXIT_USAGE = 2, EXIT_NO_VERDICT = 3 };

/* What is printed of each check. */
enum format { FORMAT_LINES, FORMAT_JSON, FORMAT_CSV };

struct options {
    shaker_config *config;
    struct targets targets;
    uint64_t each;         /* checks of each target; 0: for ever */
    uint64_t checks;       /* of all targets together; UINT64_MAX: for ever */
    uint32_t at_once;
    uint32_t timeout_ms;
    double rate;           /* checks a second; 0: no limit */
    bool spaced;           /* each target has its next check interval_ms after the last */
    uint32_t interval_ms;
    uint32_t flags;        /* of each shaker_request */
    int32_t engine;        /* a shaker_engine */
    const char *namespace; /* where checks leave from; NULL: here */
    bool caller_driven;

    enum format format;
    bool counts;           /* a summary in numbers, as Go's tool has it, instead of a line a check */
    bool quiet;            /* no line a check */
    bool times;            /* -C: the times of each target in one line at the end */
    bool alive, unreachable;
    bool timestamps;
    bool outage;
    uint32_t reachable;    /* so many must be up; 0: not asked for */
    uint32_t interim_ms;   /* statistics that often; 0: at the end alone */
    bool metrics;
    int verbose;           /* 1: checks that are not up; 2: every check */

    bool watch;
    const char *metrics_file;
    uint32_t fall, rise;
};

/* Ends the program with EXIT_USAGE, and says why, if anything is wrong. */
void options_read(struct options *options, int argc, char **argv);
void options_free(struct options *options);

/* What is printed for people goes there, so that programs read nothing else on standard output. */
bool options_own_stdout(const struct options *options);

#endif
