/* Counts what becomes of the checks, and has it printed: lines.c has a line a check for people, records.c one for
 * programs, statistics.c what became of each target, summary.c of all together. */
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "history.h"
#include "lines.h"
#include "metrics.h"
#include "records.h"
#include "report.h"
#include "signals.h"
#include "statistics.h"
#include "summary.h"
#include "terminal.h"
#include "text.h"

/* Statistics of more targets than this would hide the summary above them; -v shows them. */
enum { FEW_TARGETS = 20 };

static bool wants_history(const struct options *options)
{
    return options->each != 1 && (!options->counts || options->targets.count <= FEW_TARGETS || options->verbose > 0);
}

void report_start(struct report *report, struct options *options)
{
    *report = (struct report){.options = options, .started_us = now_us(), .statistics_due_us = UINT64_MAX};
    report->prose = options_own_stdout(options) ? stderr : stdout;
    report->colours = terminal_has_colours(report->prose);
    report->keeps_history = wants_history(options) || options->times;
    if (options->interim_ms > 0)
        report->statistics_due_us = report->started_us + (uint64_t)options->interim_ms * 1000;
    for (size_t i = 0; i < options->targets.count; i++) {
        struct target *target = &options->targets.items[i];
        int width = (int)strlen(target_name(target));

        if (report->keeps_history)
            target->history = history_new(options->times ? options->each : 0);
        report->name_width = width > report->name_width ? width : report->name_width;
    }
    /* A line a check shows by itself that something is going on. */
    progress_start(&report->progress, options->checks != UINT64_MAX && (options->counts || options->quiet),
                   report->started_us);
    records_start(options);
}

void report_describe(const struct target *target, const shaker_result *result, char *text, size_t capacity)
{
    char beginning[201];

    snprintf(beginning, sizeof beginning, "%s", target_name(target));
    shaker_result_describe(result, beginning, text, capacity);
}

static void report_malformed(struct report *report, struct target *target)
{
    report->malformed++;
    if (target->malformed)
        return;
    target->malformed = true;
    progress_clear(&report->progress);
    target_complain(target);
}

static void count(struct report *report, struct target *target, const shaker_result *result, uint64_t now_us)
{
    size_t kind = status_kind(result->status);

    report->finished += result->status != SHAKER_ERR_CANCELLED;
    if (report->by_kind[kind]++ == 0)
        report_describe(target, result, report->example[kind], sizeof report->example[kind]);
    if (result->status >= SHAKER_OK) {
        target->judged = true;
        target->status = result->status;
    }
    /* What the user cut short is no check. */
    if (target->history != NULL && result->status != SHAKER_ERR_CANCELLED)
        history_add(target->history, result, now_us, report->options->interim_ms > 0);
    if (result->status > SHAKER_OK)
        report->down++;
    if (result->status != SHAKER_OK)
        return;
    report->up++;
    report->up_targets += !target->was_up;
    report->proven_half_open += (result->flags & SHAKER_HALF_OPEN) != 0;
    report->retransmitted += result->syn_retransmits > 0;
    rtt_add(&report->rtt, result->rtt_us);
    target->rtt_us = result->rtt_us;
}

void report_result(struct report *report, struct target *target, const shaker_result *result, uint64_t now_us)
{
    if (result->status == SHAKER_ERR_ADDRESS)
        report_malformed(report, target);
    count(report, target, result, now_us);
    if (records_wanted(report->options)) {
        progress_clear(&report->progress);
        records_print(report->options, target, result, stdout);
    } else {
        lines_print(report, target, result);
    }
    target->was_up |= result->status == SHAKER_OK;
}

void report_tick(struct report *report)
{
    const struct progress_counts counts = {
        .finished = report->finished, .checks = report->options->checks, .up = report->up, .down = report->down};
    uint64_t now;

    if (statistics_wanted()) {
        progress_clear(&report->progress);
        statistics_now(report);
    }
    if (!report->progress.wanted && report->statistics_due_us == UINT64_MAX)
        return;
    now = now_us();
    if (now >= report->statistics_due_us) {
        progress_clear(&report->progress);
        statistics_of_late(report);
        report->statistics_due_us += (uint64_t)report->options->interim_ms * 1000;
        if (report->statistics_due_us < now)
            report->statistics_due_us = now;
    }
    progress_show(&report->progress, &counts, now);
}

uint64_t report_wait_us(const struct report *report, uint64_t now_us)
{
    uint64_t due_us = report->statistics_due_us;

    if (report->progress.wanted && report->progress.due_us < due_us)
        due_us = report->progress.due_us;
    return due_us > now_us ? due_us - now_us : 0;
}

static int exit_status(const struct report *report)
{
    const struct options *options = report->options;

    if (report->malformed > 0)
        return EXIT_USAGE;
    if (options->reachable > 0) {
        uint64_t unknown = 0;

        if (report->up_targets >= options->reachable)
            return 0;
        for (size_t i = 0; i < options->targets.count; i++)
            unknown += !options->targets.items[i].judged;
        return report->up_targets + unknown >= options->reachable ? EXIT_NO_VERDICT : EXIT_SOME_DOWN;
    }
    if (report->down > 0)
        return EXIT_SOME_DOWN;
    /* A run without an end is over when the user says so. */
    return report->up == (options->checks == UINT64_MAX ? report->finished : options->checks) ? 0 : EXIT_NO_VERDICT;
}

int report_end(struct report *report, const shaker_stats *stats)
{
    progress_clear(&report->progress);
    if (report->options->counts)
        summary_print(report, stats);
    lines_end(report);
    statistics_end(report);
    if (report->options->metrics)
        metrics_print(stats, &report->rtt, &report->options->targets, stdout);
    rtt_clear(&report->rtt);
    return exit_status(report);
}
