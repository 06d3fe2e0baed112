/* Counts what becomes of the checks, and has it printed. */
#ifndef TCP_CHECKER_REPORT_H
#define TCP_CHECKER_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"
#include "progress.h"
#include "rtt.h"
#include "status.h"
#include "tcpshaker.h"

enum { DESCRIPTION = 512 };

struct report {
    struct options *options;
    FILE *prose;                     /* for people; programs read standard output */
    bool colours;                    /* there */
    bool keeps_history;              /* of each target */
    int name_width;                  /* of the longest target */
    uint64_t started_us;
    uint64_t statistics_due_us;      /* UINT64_MAX: at the end alone */
    uint64_t by_kind[STATUS_KINDS];
    char example[STATUS_KINDS][DESCRIPTION]; /* the first check of that kind, in words */
    uint64_t finished;               /* checks that came to an end of their own */
    uint64_t up, down;
    uint64_t up_targets;             /* by some check of theirs */
    uint64_t proven_half_open;
    uint64_t retransmitted;          /* up, but only after the SYN was sent again */
    uint64_t malformed;              /* checks of targets that are none */
    struct rtt rtt;
    struct progress progress;
};

void report_start(struct report *report, struct options *options);
void report_result(struct report *report, struct target *target, const shaker_result *result, uint64_t now_us);
/* Progress and statistics, where they are due or asked for. */
void report_tick(struct report *report);
/* In how many microseconds report_tick has something to do. */
uint64_t report_wait_us(const struct report *report, uint64_t now_us);
/* Prints what stands at the end, and returns the exit status. */
int report_end(struct report *report, const shaker_stats *stats);

/* A result in words: the target may be as long as a line of a file, and leaves room for the verdict. */
void report_describe(const struct target *target, const shaker_result *result, char *text, size_t capacity);

#endif
