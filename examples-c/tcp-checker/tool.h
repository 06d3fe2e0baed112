/* What the parts of tcp-checker know of each other. */
#ifndef TCP_CHECKER_TOOL_H
#define TCP_CHECKER_TOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tcpshaker.h"

/* Exit statuses, beside 0: every check found its target up. */
enum { EXIT_SOME_DOWN = 1, EXIT_USAGE = 2, EXIT_NO_VERDICT = 3 };

/* ---- options.c: the command line and the target list ---- */

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
    bool json;
    bool metrics;
    int verbose;     /* 1: checks that are not up; 2: every check */
};

/* Ends the program with EXIT_USAGE, and says why, if anything is wrong. */
void options_read(struct options *options, int argc, char **argv);
void options_free(struct options *options);

/* ---- rtt.c: how round-trip times are distributed, in a memory that does not grow ---- */

/* Below 32 us a bucket for each microsecond; above, 32 buckets for each power of two, so that no
 * time is off by more than 3 %. */
enum { RTT_STEPS_LOG2 = 5, RTT_STEPS = 1 << RTT_STEPS_LOG2, RTT_BUCKETS = (33 - RTT_STEPS_LOG2) * RTT_STEPS };

struct rtt {
    uint64_t buckets[RTT_BUCKETS];
    uint64_t count, sum_us;
    uint32_t min_us, max_us; /* exact */
};

void rtt_add(struct rtt *rtt, uint32_t us);
/* The time that so many per cent of all did not exceed. There must be one. */
uint64_t rtt_percentile(const struct rtt *rtt, unsigned percent);
void rtt_print(const struct rtt *rtt, FILE *out);

/* ---- status.c: one word for each status, for tables and for programs ---- */

enum { STATUS_KINDS = 15 };

struct named_status {
    shaker_status status;
    const char *word;
};

extern const struct named_status STATUSES[STATUS_KINDS];
/* A status that this program does not know counts as the last kind, the library's defects. */
size_t status_index(shaker_status status);
const char *status_word(shaker_status status);

/* ---- metrics.c: what the checker counted, as Prometheus text ---- */

void metrics_print(const shaker_stats *stats, const struct rtt *rtt, FILE *out);

/* ---- report.c: everything else that is printed ---- */

enum { DESCRIPTION = 512 };

struct report {
    const struct options *options;
    FILE *prose;                     /* for people; programs read standard output */
    uint64_t started_us;
    uint64_t by_kind[STATUS_KINDS];
    char example[STATUS_KINDS][DESCRIPTION]; /* the first check of that kind, in words */
    uint64_t finished;               /* checks that came to an end of their own */
    uint64_t up, down;
    uint64_t proven_half_open;
    uint64_t retransmitted;          /* up, but only after the SYN was sent again */
    uint64_t malformed;
    struct rtt rtt;
    bool terminal;                   /* progress is wanted */
    uint64_t progress_due_us;
    int progress_width;              /* of the progress line now on the terminal */
};

uint64_t now_us(void);
void report_start(struct report *report, const struct options *options);
void report_result(struct report *report, struct target *target, const shaker_result *result);
void report_progress(struct report *report);
/* Prints the summary and returns the exit status. */
int report_end(struct report *report, const shaker_stats *stats);

#endif
