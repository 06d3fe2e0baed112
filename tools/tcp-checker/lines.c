/* A line a check, for people; and the names alone, of what is up or down. */
#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "history.h"
#include "lines.h"
#include "terminal.h"
#include "text.h"

const char *lines_ms(uint64_t us, char *text, size_t capacity)
{
    double ms = (double)us / 1e3;

    snprintf(text, capacity, "%.*f", ms < 1 ? 3 : ms < 10 ? 2 : ms < 100 ? 1 : 0, ms);
    return text;
}

static void print_time(const struct report *report)
{
    char text[40];

    if (report->options->timestamps)
        fprintf(report->prose, "[%s] ", clock_since_epoch(text, sizeof text));
}

/* The line that says all there is of a target. */
static void print_verdict(const struct report *report, const struct target *target, const shaker_result *result)
{
    char text[DESCRIPTION];

    print_time(report);
    report_describe(target, result, text, sizeof text);
    fputs(colour_of(report->colours, result->status), report->prose);
    text_print_plain(text, report->prose);
    fprintf(report->prose, "%s\n", colour_end(report->colours));
}

/* One of many of the target, as fping -l has them: "127.0.0.1:80 : [0], up, 0.045 ms (0.045 avg, 0% loss)". */
static void print_one_of_many(const struct report *report, const struct target *target, const shaker_result *result)
{
    const struct tally *tally = &target->history->all;
    uint64_t made = tally->sent + tally->no_verdict;
    char ms[24], mean[24] = "NaN", error[128];

    shaker_result_error_str(result, error, sizeof error);
    if (tally->received > 0)
        lines_ms(tally->rtt.sum_us / tally->rtt.count, mean, sizeof mean);
    print_time(report);
    text_print_plain(target_name(target), report->prose);
    fprintf(report->prose, "%*s : [%" PRIu64 "], %s", report->name_width - (int)strlen(target_name(target)), "",
            made - 1, colour_of(report->colours, result->status));
    if (result->status == SHAKER_OK)
        fprintf(report->prose, "up%s, %s ms", colour_end(report->colours), lines_ms(result->rtt_us, ms, sizeof ms));
    else
        fprintf(report->prose, "%s%s%s%s%s", result->status < SHAKER_OK ? "no verdict: " : "",
                shaker_status_str(result->status), colour_end(report->colours),
                *error != '\0' && result->status < SHAKER_OK ? ": " : "", result->status < SHAKER_OK ? error : "");
    fprintf(report->prose, " (%s avg, %u%% loss)\n", mean, tally_loss(tally));
}

static void print_name(struct report *report, const struct target *target)
{
    progress_clear(&report->progress);
    print_time(report);
    text_print_plain(target_name(target), report->prose);
    fputc('\n', report->prose);
}

void lines_print(struct report *report, const struct target *target, const shaker_result *result)
{
    const struct options *options = report->options;
    bool once = options->each == 1;

    /* The complaint said it. */
    if (result->status == SHAKER_ERR_ADDRESS)
        return;
    if (options->alive ? result->status == SHAKER_OK && !target->was_up
                       : options->unreachable && once && result->status > SHAKER_OK) {
        print_name(report, target);
        return;
    }
    if (options->quiet || (options->metrics && options->verbose == 0) || result->status == SHAKER_ERR_CANCELLED)
        return;
    if (options->counts && options->verbose <= (result->status == SHAKER_OK))
        return;
    progress_clear(&report->progress);
    if (options->counts || once)
        print_verdict(report, target, result);
    else
        print_one_of_many(report, target, result);
}

void lines_end(struct report *report)
{
    const struct options *options = report->options;

    if (options->unreachable && options->each != 1) {
        for (size_t i = 0; i < options->targets.count; i++) {
            const struct target *target = &options->targets.items[i];

            if (target->judged && !target->was_up)
                print_name(report, target);
        }
    }
    if (options->reachable > 0)
        fprintf(report->prose, "%s hosts reachable (required: %" PRIu32 ", reachable: %" PRIu64 ")\n",
                report->up_targets >= options->reachable ? "Enough" : "Not enough", options->reachable,
                report->up_targets);
}
