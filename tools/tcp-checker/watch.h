/* tcp-checker watch: targets that are checked again and again, by a monitor of the library. */
#ifndef TCP_CHECKER_WATCH_H
#define TCP_CHECKER_WATCH_H

#include <stdbool.h>

#include "options.h"
#include "tcpshaker.h"

/* As many results are drawn at most, and as many limits have the buckets of round-trip times. */
enum { SPARKS = 60, RTT_LIMITS = 15 };

struct watched {
    struct target *target;
    uint64_t id;
    int32_t state;             /* a shaker_state */
    bool without_verdict;      /* the last check was */
    int64_t sparks[SPARKS];    /* the last results, as history.h has their times; a ring */
    uint64_t spark_count;      /* of all results */
    uint64_t rtt_counts[RTT_LIMITS + 1], rtt_count, rtt_sum_us; /* how many answers each bucket has, and all */
};

struct watch {
    struct options *options;
    shaker_monitor *monitor;
    struct watched *items;
    size_t count;
    uint64_t started_us;
    bool table;                /* on a terminal */
    bool colours;
};

/* Watches until it is interrupted. Returns the exit status. */
int watch_run(shaker_checker *checker, struct options *options);

const char *watch_state_name(int32_t state);
/* The status whose colour a state has. */
shaker_status watch_state_status(int32_t state);
/* What is known of a watched target. */
shaker_watch_info watch_info(const struct watch *watch, const struct watched *watched);

#endif
