/* What the checker counted, in Prometheus' text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). */
#include <inttypes.h>

#include "metrics.h"
#include "status.h"

static void describe(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
    describe(out, name, type, help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

/* Every result has its series from the start, or the first of a kind would come as a jump that rate() cannot see. */
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

    describe(out, "tcpshaker_checks_total", "counter",
             "Checks that ended, by result: up; timeout, refused and unreachable are down; all others are no verdict.");
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        fprintf(out, "tcpshaker_checks_total{result=\"%s\"} %" PRIu64 "\n", status_word(results[i].status).text,
                results[i].count);
}

/* The base unit is the second. Written from whole microseconds, no number is rounded. */
static void print_seconds(FILE *out, const char *series, uint64_t us)
{
    fprintf(out, "%s %" PRIu64 ".%06" PRIu64 "\n", series, us / 1000000, us % 1000000);
}

static void print_rtt(const struct rtt *rtt, FILE *out)
{
    describe(out, "tcpshaker_rtt_seconds", "summary",
             "Time from SYN to SYN-ACK of the checks whose target was up, as the kernel measured it.");
    /* Of no times at all there are no quantiles. */
    if (rtt->count > 0) {
        print_seconds(out, "tcpshaker_rtt_seconds{quantile=\"0.5\"}", rtt_percentile(rtt, 50));
        print_seconds(out, "tcpshaker_rtt_seconds{quantile=\"0.9\"}", rtt_percentile(rtt, 90));
        print_seconds(out, "tcpshaker_rtt_seconds{quantile=\"0.99\"}", rtt_percentile(rtt, 99));
    }
    print_seconds(out, "tcpshaker_rtt_seconds_sum", rtt->sum_us);
    fprintf(out, "tcpshaker_rtt_seconds_count %" PRIu64 "\n", rtt->count);
}

void metrics_print(const shaker_stats *stats, const struct rtt *rtt, FILE *out)
{
    print_one(out, "tcpshaker_submitted_checks_total", "counter", "Checks accepted.", stats->submitted);
    print_results(stats, out);
    print_one(out, "tcpshaker_completed_handshakes_total", "counter",
              "Half-open checks whose target was up but whose last ACK went out, or may have.",
              stats->completed_handshakes);
    print_one(out, "tcpshaker_in_flight_checks", "gauge", "Checks in flight now.", stats->in_flight);
    print_one(out, "tcpshaker_queued_checks", "gauge", "Checks that wait now, for their turn or for their name.",
              stats->queued);
    print_one(out, "tcpshaker_sockets", "gauge", "Sockets held now, idle ones included.", stats->sockets);
    print_one(out, "tcpshaker_unsolicited_segments_total", "counter",
              "Segments that came to the raw engine's ports and answered no check.", stats->unsolicited);
    print_rtt(rtt, out);
}
