/* How round-trip times are distributed: a log-linear histogram, so that a run of any length needs at most 7 KiB, and
 * as little as the times of one target differ. Its percentiles are true to 3 %. */
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "rtt.h"

size_t rtt_bucket_of(uint32_t us)
{
    unsigned shift = 0;

    while (us >> shift >= 2 * RTT_STEPS)
        shift++;
    return shift * RTT_STEPS + (us >> shift);
}

uint64_t rtt_bucket_floor(size_t bucket)
{
    unsigned shift = bucket < 2 * RTT_STEPS ? 0 : (unsigned)(bucket / RTT_STEPS) - 1;

    return (uint64_t)(bucket - (size_t)shift * RTT_STEPS) << shift;
}

uint64_t rtt_bucket_count(const struct rtt *rtt, size_t bucket)
{
    return bucket >= rtt->first && bucket - rtt->first < rtt->length ? rtt->counts[bucket - rtt->first] : 0;
}

/* Has the counts reach this bucket. */
static void reach(struct rtt *rtt, size_t bucket)
{
    size_t first = rtt->length == 0 || bucket < rtt->first ? bucket : rtt->first;
    size_t end = rtt->length == 0 || bucket >= rtt->first + rtt->length ? bucket + 1 : rtt->first + rtt->length;

    if (rtt->length == end - first)
        return;
    rtt->counts = must(realloc(rtt->counts, (end - first) * sizeof *rtt->counts));
    if (rtt->length == 0) {
        rtt->first = first;
        rtt->counts[0] = 0;
    } else if (first < rtt->first) {
        memmove(rtt->counts + (rtt->first - first), rtt->counts, rtt->length * sizeof *rtt->counts);
        memset(rtt->counts, 0, (rtt->first - first) * sizeof *rtt->counts);
    } else {
        memset(rtt->counts + rtt->length, 0, (end - first - rtt->length) * sizeof *rtt->counts);
    }
    rtt->first = first;
    rtt->length = end - first;
}

void rtt_add(struct rtt *rtt, uint32_t us)
{
    size_t bucket = rtt_bucket_of(us);

    if (rtt->count == 0 || us < rtt->min_us)
        rtt->min_us = us;
    if (us > rtt->max_us)
        rtt->max_us = us;
    reach(rtt, bucket);
    rtt->counts[bucket - rtt->first]++;
    rtt->count++;
    rtt->sum_us += us;
}

size_t rtt_percentile_bucket(const struct rtt *rtt, unsigned percent)
{
    /* Rounded up: of one time, every percentile is that time. Divided first, so that no count overflows. */
    uint64_t wanted = rtt->count / 100 * percent + (rtt->count % 100 * percent + 99) / 100;
    uint64_t seen = 0;
    size_t i = 0;

    while (seen + rtt->counts[i] < wanted)
        seen += rtt->counts[i++];
    return rtt->first + i;
}

uint64_t rtt_percentile(const struct rtt *rtt, unsigned percent)
{
    size_t bucket = rtt_percentile_bucket(rtt, percent);
    uint64_t middle = (rtt_bucket_floor(bucket) + rtt_bucket_floor(bucket + 1) - 1) / 2;

    return middle < rtt->min_us ? rtt->min_us : middle > rtt->max_us ? rtt->max_us : middle;
}

void rtt_clear(struct rtt *rtt)
{
    free(rtt->counts);
    *rtt = (struct rtt){0};
}
