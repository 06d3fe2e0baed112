/* The distribution of round-trip times, drawn for people. */
#include <string.h>

#include "distribution.h"

static const char *time_text(uint64_t us, char *text, size_t capacity)
{
    if (us < 1000)
        snprintf(text, capacity, "%u us", (unsigned)us);
    else if (us < 1000000)
        snprintf(text, capacity, "%.2f ms", (double)us / 1e3);
    else
        snprintf(text, capacity, "%.2f s", (double)us / 1e6);
    return text;
}

static void print_row(FILE *out, uint64_t from, uint64_t to, uint64_t count, uint64_t longest)
{
    enum { BAR = 40 };
    char bar[BAR + 1], from_text[24], to_text[24];
    int length = (int)((double)count * BAR / (double)longest);

    memset(bar, '#', BAR);
    /* One check in a million is still to be seen. */
    bar[length > 0 || count == 0 ? length : 1] = '\0';
    fprintf(out, "  %10s to %10s  %-*s  %llu\n", time_text(from, from_text, sizeof from_text),
            time_text(to, to_text, sizeof to_text), BAR, bar, (unsigned long long)count);
}

/* At most ROWS rows for all times up to the 99th percentile, each as many buckets wide as the others,
 * and one for the rest: a single straggler must not press everything else into one row. */
static void print_histogram(const struct rtt *rtt, FILE *out)
{
    enum { ROWS = 11 };
    size_t first = rtt_bucket_of(rtt->min_us), last = rtt_percentile_bucket(rtt, 99);
    size_t step = (last - first) / ROWS + 1, count = (last - first) / step + 1;
    uint64_t rows[ROWS] = {0}, longest = 0, rest = rtt->count;

    for (size_t row = 0; row < count; row++) {
        for (size_t bucket = first + row * step; bucket < first + (row + 1) * step && bucket < RTT_BUCKETS; bucket++)
            rows[row] += rtt_bucket_count(rtt, bucket);
        rest -= rows[row];
        longest = rows[row] > longest ? rows[row] : longest;
    }
    for (size_t row = 0; row < count; row++)
        print_row(out, rtt_bucket_floor(first + row * step), rtt_bucket_floor(first + (row + 1) * step), rows[row],
                  longest);
    if (rest > 0)
        print_row(out, rtt_bucket_floor(first + count * step), rtt->max_us, rest, longest);
}

void distribution_print(const struct rtt *rtt, FILE *out)
{
    char min[24], p50[24], p90[24], p99[24], max[24];

    if (rtt->count == 0)
        return;
    fprintf(out, "\nFrom SYN to SYN-ACK:\n  min %s, p50 %s, p90 %s, p99 %s, max %s\n",
            time_text(rtt->min_us, min, sizeof min), time_text(rtt_percentile(rtt, 50), p50, sizeof p50),
            time_text(rtt_percentile(rtt, 90), p90, sizeof p90), time_text(rtt_percentile(rtt, 99), p99, sizeof p99),
            time_text(rtt->max_us, max, sizeof max));
    if (rtt->min_us != rtt->max_us)
        print_histogram(rtt, out);
}
