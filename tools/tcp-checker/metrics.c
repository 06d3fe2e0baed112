/* What was counted in a run, in Prometheus' text format.
 *
 * All of it begins anew with each run, so nothing is a counter: rate() would take the next run for a restart. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "metrics.h"
#include "status.h"
#include "text.h"

void metrics_describe(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_print_label(FILE *out, const char *value)
{
    char *clean = text_utf8(value);

    for (const char *byte = clean; *byte != '\0'; byte++) {
        if (*byte == '\n')
            fputs("\\n", out);
        else if (*byte == '"' || *byte == '\\')
            fprintf(out, "\\%c", *byte);
        else
            fputc(*byte, out);
    }
    free(clean);
}

void metrics_print_seconds(FILE *out, uint64_t us)
{
    fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
}

static void print_one(FILE *out, const char *name, const char *help, uint64_t value)
{
    metrics_describe(out, name, "gauge", help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* ---- the targets ---- */

static int by_name(const void *a, const void *b)
{
    const struct target *const *one = a, *const *other = b;
    int order = strcmp(target_name(*one), target_name(*other));

    /* Of one that was given twice, the later counts. */
    return order != 0 ? order : (*one > *other) - (*one < *other);
}

/* The targets by name, each once, those that have a verdict. Returns how many. */
static size_t judged_targets(const struct targets *targets, const struct target **sorted)
{
    size_t judged = 0, count = 0;

    for (size_t i = 0; i < targets->count; i++) {
        if (targets->items[i].judged)
            sorted[judged++] = &targets->items[i];
    }
    qsort(sorted, judged, sizeof *sorted, by_name);
    for (size_t i = 0; i < judged; i++) {
        if (i + 1 == judged || strcmp(target_name(sorted[i]), target_name(sorted[i + 1])) != 0)
            sorted[count++] = sorted[i];
    }
    return count;
}

static void print_targets(const struct targets *targets, FILE *out)
{
    const struct target **sorted = must(malloc(targets->count * sizeof *sorted));
    size_t count = judged_targets(targets, sorted), up = 0;

    if (count > 0)
        metrics_describe(out, "tcpshaker_up", "gauge",
                         "Whether the target was up when it was checked last. Without a verdict there is no sample.");
    for (size_t i = 0; i < count; i++) {
        fputs("tcpshaker_up{target=\"", out);
        metrics_print_label(out, target_name(sorted[i]));
        fprintf(out, "\"} %d\n", sorted[i]->status == SHAKER_OK);
        up += sorted[i]->status == SHAKER_OK;
    }
    if (up > 0)
        metrics_describe(out, "tcpshaker_last_rtt_seconds", "gauge",
                         "Time from SYN to SYN-ACK of the target's last check.");
    for (size_t i = 0; i < count; i++) {
        if (sorted[i]->status != SHAKER_OK)
            continue;
        fputs("tcpshaker_last_rtt_seconds{target=\"", out);
        metrics_print_label(out, target_name(sorted[i]));
        fputs("\"} ", out);
        metrics_print_seconds(out, sorted[i]->rtt_us);
    }
    free(sorted);
}

/* ---- the totals ---- */

/* Every result has its series, so that one which did not come is a 0 and no gap. */
static void print_results(const shaker_stats *stats, FILE *out)
{
    const struct {
        shaker_status status;
        uint64_t count;
    } results[] = {
        {SHAKER_OK, stats->up},
        {SHAKER_TIMEOUT, stats->timed_out},
        {SHAKER_REFUSED, stats->refused},
        {SHAKER_UNREACHABLE, stats->unreachable},
        {SHAKER_ERR_INVALID, stats->err_invalid},
        {SHAKER_ERR_ADDRESS, stats->err_address},
        {SHAKER_ERR_RESOLVE, stats->err_resolve},
        {SHAKER_ERR_LOCAL, stats->err_local},
        {SHAKER_ERR_CANCELLED, stats->err_cancelled},
        {SHAKER_ERR_CLOSED, stats->err_closed},
        {SHAKER_ERR_BUSY, stats->err_busy},
        {SHAKER_ERR_UNSUPPORTED, stats->err_unsupported},
        {SHAKER_ERR_INTERNAL, stats->err_internal},
    };

    metrics_describe(
        out, "tcpshaker_run_checks", "gauge",
        "Checks of this run, by result: up; timeout, refused and unreachable are down; all others are no verdict.");
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        fprintf(out, "tcpshaker_run_checks{result=\"%s\"} %" PRIu64 "\n", status_word(results[i].status).text,
                results[i].count);
}

static void print_rtt(const struct rtt *rtt, FILE *out)
{
    static const unsigned PERCENT[] = {50, 90, 99};

    /* Of no times at all there are no quantiles. */
    if (rtt->count == 0)
        return;
    metrics_describe(out, "tcpshaker_run_rtt_seconds", "gauge",
                     "Time from SYN to SYN-ACK that a share of this run's answers did not exceed.");
    for (size_t i = 0; i < sizeof PERCENT / sizeof *PERCENT; i++) {
        fprintf(out, "tcpshaker_run_rtt_seconds{quantile=\"0.%u\"} ",
                PERCENT[i] % 10 == 0 ? PERCENT[i] / 10 : PERCENT[i]);
        metrics_print_seconds(out, rtt_percentile(rtt, PERCENT[i]));
    }
    metrics_describe(out, "tcpshaker_run_mean_rtt_seconds", "gauge", "Mean time from SYN to SYN-ACK in this run.");
    fputs("tcpshaker_run_mean_rtt_seconds ", out);
    metrics_print_seconds(out, rtt->sum_us / rtt->count);
}

void metrics_print(const shaker_stats *stats, const struct rtt *rtt, const struct targets *targets, FILE *out)
{
    print_targets(targets, out);
    print_one(out, "tcpshaker_run_submitted_checks", "Checks of this run that were begun.", stats->submitted);
    print_results(stats, out);
    print_one(out, "tcpshaker_run_completed_handshakes",
              "Half-open checks of this run whose target was up but whose last ACK went out, or may have.",
              stats->completed_handshakes);
    print_one(out, "tcpshaker_run_unsolicited_segments",
              "Segments that came to the raw engine's ports in this run and answered no check.", stats->unsolicited);
    print_rtt(rtt, out);
}
