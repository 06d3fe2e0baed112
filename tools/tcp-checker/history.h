/* What became of the checks of one target. */
#ifndef TCP_CHECKER_HISTORY_H
#define TCP_CHECKER_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "rtt.h"
#include "tcpshaker.h"

/* Counts of some time. */
struct tally {
    uint64_t sent;       /* checks with a verdict: of the others nobody knows whether anything was lost */
    uint64_t received;   /* that found it up */
    uint64_t no_verdict;
    struct rtt rtt;
    uint64_t differences, differences_us; /* of round-trip times that follow each other */
};

/* In place of a time: not up, no verdict, not made yet. */
enum { TIME_LOST = -1, TIME_UNKNOWN = -2, TIME_MISSING = -3 };

struct history {
    struct tally all, recent;
    int64_t *times;      /* of each check, in microseconds; NULL unless they are asked for */
    uint64_t time_count;
    bool answered;       /* there is a last_rtt_us */
    uint32_t last_rtt_us;
    uint64_t down_since_us; /* when the first check of an outage began; 0: there is none */
    uint64_t outage_us;  /* of outages that are over */
};

/* For so many times; 0: they are not asked for. */
struct history *history_new(uint64_t times);
void history_free(struct history *history);
/* recent: whether counts of late are kept, too. */
void history_add(struct history *history, const shaker_result *result, uint64_t now_us, bool recent);
void history_forget_recent(struct history *history);
/* How long it was down, the outage that goes on included. */
uint64_t history_outage_us(const struct history *history, uint64_t now_us);

/* In per cent of what was sent, rounded down; 0 if that is nothing. */
unsigned tally_loss(const struct tally *tally);
/* The mean difference of round-trip times that follow each other; 0 if there are no two. */
uint64_t tally_jitter_us(const struct tally *tally);

#endif
