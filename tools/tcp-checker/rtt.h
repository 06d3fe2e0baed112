/* How round-trip times are distributed, in a memory that grows with how far apart they are, not with how many. */
#ifndef TCP_CHECKER_RTT_H
#define TCP_CHECKER_RTT_H

#include <stddef.h>
#include <stdint.h>

/* Below 32 us a bucket for each microsecond; above, 32 buckets for each power of two, so that no
 * time is off by more than 3 %. */
enum { RTT_STEPS_LOG2 = 5, RTT_STEPS = 1 << RTT_STEPS_LOG2, RTT_BUCKETS = (33 - RTT_STEPS_LOG2) * RTT_STEPS };

struct rtt {
    uint64_t *counts;        /* of the buckets from first on */
    size_t first, length;
    uint64_t count, sum_us;
    uint32_t min_us, max_us; /* exact */
};

void rtt_add(struct rtt *rtt, uint32_t us);
/* The time that so many per cent of all did not exceed. There must be one. */
uint64_t rtt_percentile(const struct rtt *rtt, unsigned percent);
void rtt_clear(struct rtt *rtt);

/* The buckets, for whoever draws them. */
size_t rtt_bucket_of(uint32_t us);
/* The smallest time that falls into a bucket; for the one behind the last, past 32 bits. */
uint64_t rtt_bucket_floor(size_t bucket);
uint64_t rtt_bucket_count(const struct rtt *rtt, size_t bucket);
size_t rtt_percentile_bucket(const struct rtt *rtt, unsigned percent);

#endif
