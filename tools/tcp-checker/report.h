/* What is printed for people, and each check as JSON. */
#ifndef TCP_CHECKER_REPORT_H
#define TCP_CHECKER_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "options.h"
#include "rtt.h"
#include "status.h"
#include "tcpshaker.h"

/* Microseconds of a clock that never jumps. */
uint64_t now_us(void);

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

/* Ends the program with EXIT_NO_VERDICT, and says what could not be done. */
void give_up(const char *what, shaker_status status);

void report_start(struct report *report, const struct options *options);
void report_result(struct report *report, struct target *target, const shaker_result *result);
void report_progress(struct report *report);
/* Prints the summary and returns the exit status. */
int report_end(struct report *report, const shaker_stats *stats);

#endif
