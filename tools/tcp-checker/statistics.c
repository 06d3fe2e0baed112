/* What became of each target, as fping has it. */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "history.h"
#include "lines.h"
#include "statistics.h"
#include "text.h"

static FILE *place(const struct report *report)
{
    return report->options->counts ? report->prose : stderr;
}

static void print_name(const struct report *report, const struct target *target, FILE *out)
{
    text_print_plain(target_name(target), out);
    fprintf(out, "%*s :", report->name_width - (int)strlen(target_name(target)), "");
}

/* "127.0.0.1:80 : 0.91 0.87 - 0.90": - for what was not up, ! for what had no verdict. */
static void print_times(const struct report *report)
{
    FILE *out = place(report);

    for (size_t i = 0; i < report->options->targets.count; i++) {
        const struct target *target = &report->options->targets.items[i];
        const struct history *history = target->history;
        char text[24];

        print_name(report, target, out);
        for (uint64_t made = 0; made < history->time_count; made++) {
            int64_t us = history->times[made];

            fprintf(out, " %s", us >= 0 ? lines_ms((uint64_t)us, text, sizeof text) : us == TIME_LOST ? "-" : "!");
        }
        fputc('\n', out);
    }
}

static void print_tally(const struct report *report, const struct target *target, const struct tally *tally)
{
    FILE *out = place(report);
    char min[24], mean[24], max[24], p95[24], jitter[24];

    print_name(report, target, out);
    fprintf(out, " xmt/rcv/%%loss = %" PRIu64 "/%" PRIu64 "/%u%%", tally->sent, tally->received, tally_loss(tally));
    if (report->options->outage)
        fprintf(out, ", outage(ms) = %" PRIu64, history_outage_us(target->history, now_us()) / 1000);
    if (tally->received > 0)
        fprintf(out, ", min/avg/max/p95/jitter = %s/%s/%s/%s/%s", lines_ms(tally->rtt.min_us, min, sizeof min),
                lines_ms(tally->rtt.sum_us / tally->rtt.count, mean, sizeof mean),
                lines_ms(tally->rtt.max_us, max, sizeof max),
                lines_ms(rtt_percentile(&tally->rtt, 95), p95, sizeof p95),
                lines_ms(tally_jitter_us(tally), jitter, sizeof jitter));
    if (tally->no_verdict > 0)
        fprintf(out, ", no verdict = %" PRIu64, tally->no_verdict);
    fputc('\n', out);
}

static void print_head(FILE *out)
{
    char text[24];

    fflush(stdout);
    fprintf(out, "[%s]\n", clock_local(text, sizeof text));
}

static void print_all(const struct report *report)
{
    for (size_t i = 0; i < report->options->targets.count; i++) {
        const struct target *target = &report->options->targets.items[i];

        if (!target->malformed)
            print_tally(report, target, &target->history->all);
    }
}

void statistics_now(const struct report *report)
{
    print_head(place(report));
    if (report->keeps_history)
        print_all(report);
    else
        fprintf(place(report), "%" PRIu64 " checks, up %" PRIu64 ", down %" PRIu64 "\n", report->finished, report->up,
                report->down);
}

void statistics_of_late(const struct report *report)
{
    if (!report->keeps_history) {
        statistics_now(report);
        return;
    }
    print_head(place(report));
    for (size_t i = 0; i < report->options->targets.count; i++) {
        struct target *target = &report->options->targets.items[i];

        if (target->malformed)
            continue;
        print_tally(report, target, &target->history->recent);
        history_forget_recent(target->history);
    }
}

void statistics_end(const struct report *report)
{
    const struct options *options = report->options;

    if (!report->keeps_history || options->alive || options->unreachable || options->reachable > 0)
        return;
    fflush(stdout);
    /* Between the lines and what they come to, as fping has it. */
    if (!options->quiet || options->interim_ms > 0)
        fputc('\n', place(report));
    if (options->times && options->interim_ms == 0)
        print_times(report);
    else
        print_all(report);
}
