/* All checks together, at the end: the three lines of Go's tool, and what they do not tell. */
#include <inttypes.h>

#include "clock.h"
#include "distribution.h"
#include "summary.h"
#include "text.h"

static void print_kinds(const struct report *report, FILE *out)
{
    fputs("\nVerdicts:\n", out);
    for (size_t kind = 0; kind < STATUS_KINDS; kind++) {
        shaker_status status = status_of_kind(kind);

        if (report->by_kind[kind] == 0)
            continue;
        fprintf(out, "  %-11s %10" PRIu64, status_word(status).text, report->by_kind[kind]);
        /* Malformed targets are on standard error, each of them. */
        if (status != SHAKER_OK && status != SHAKER_ERR_ADDRESS) {
            fputs(report->by_kind[kind] > 1 ? "  such as " : "  ", out);
            text_print_plain(report->example[kind], out);
        }
        fputc('\n', out);
    }
}

void summary_print(const struct report *report, const shaker_stats *stats)
{
    FILE *out = report->prose;
    uint64_t timed_out = report->by_kind[status_kind(SHAKER_TIMEOUT)];

    /* These three lines are those of Go's tcp-shaker tool, for scripts that read them. */
    fprintf(out, "Finished %" PRIu64 "/%" PRIu64 " checks in %.3fs\n", report->finished, report->options->checks,
            (double)(now_us() - report->started_us) / 1e6);
    fprintf(out, "  Succeed: %" PRIu64 "\n", report->up);
    fprintf(out, "  Errors: connect %" PRIu64 ", timeout %" PRIu64 ", other %" PRIu64 "\n", report->down - timed_out,
            timed_out, report->finished - report->up - report->down);

    print_kinds(report, out);
    distribution_print(&report->rtt, out);
    if (report->retransmitted > 0)
        fprintf(out, "  %" PRIu64 " of these were answered only after the SYN had been sent again\n",
                report->retransmitted);
    fprintf(out,
            "\nHandshakes the kernel completed against our will: %" PRIu64 " (%" PRIu64 " of %" PRIu64
            " answers proven half-open)\n",
            stats->completed_handshakes, report->proven_half_open, report->up);
}
