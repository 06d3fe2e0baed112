/* How round-trip times are distributed, in a memory that does not grow. */
#ifndef TCP_CHECKER_RTT_H
#define TCP_CHECKER_RTT_H

#include <stdint.h>
#include <stdio.h>

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

#endif
