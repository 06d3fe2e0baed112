/* A line for each change of a target's state, and one for each target at the end. Where from and to are the same, it is for
 * a check without a verdict. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "lines.h"
#include "records.h"
#include "report.h"
#include "status.h"
#include "terminal.h"
#include "text.h"
#include "watch_lines.h"

const char *watch_duration(uint64_t us, char *text, size_t capacity)
{
    static const struct {
        uint64_t seconds;
        const char *unit;
    } UNITS[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    uint64_t seconds = us / 1000000;
    size_t i = 0;

    /* Two of a unit before it is used: "90 min" says more than "1 h". */
    while (UNITS[i].seconds > 1 && seconds < 2 * UNITS[i].seconds)
        i++;
    snprintf(text, capacity, "%" PRIu64 " %s", seconds / UNITS[i].seconds, UNITS[i].unit);
    return text;
}

unsigned watch_loss(const shaker_watch_info *info)
{
    uint64_t verdicts = info->up + info->down;

    return verdicts == 0 ? 0 : (unsigned)(info->down * 100 / verdicts);
}

static const char SCHEMA[] = "tcp-checker.change.v1";

static void print_json(const struct watched *watched, const shaker_change *change)
{
    char time[40], error[128];
    char *name = text_utf8(target_name(watched->target));

    clock_rfc3339(time, sizeof time);
    records_error(&change->last, error, sizeof error);
    records_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s, s:I, s:b, s:s, s:i, s:i, s:s, s:I}", "schema", SCHEMA,
                                 "time", time, "target", name, "from", watch_state_name(change->from), "to",
                                 watch_state_name(change->to), "run", (json_int_t)change->run, "skipped",
                                 (change->flags & SHAKER_CHANGE_SKIPPED) != 0, "status",
                                 status_word(change->last.status).text, "code", (int)change->last.status, "os_error",
                                 (int)change->last.os_error, "error", error, "rtt_us", (json_int_t)change->last.rtt_us),
                       stdout);
    free(name);
}

void watch_lines_print(const struct watch *watch, const shaker_change *change)
{
    const struct watched *watched = change->user_data;
    char time[40], text[DESCRIPTION];

    if (watch->options->format == FORMAT_JSON) {
        print_json(watched, change);
        return;
    }
    report_describe(watched->target, &change->last, text, sizeof text);
    printf("%s ", clock_rfc3339(time, sizeof time));
    text_print_plain(target_name(watched->target), stdout);
    if (change->from == change->to)
        printf(" %s: no verdict (", watch_state_name(change->to));
    else
        printf(" %s -> %s%s%s (", watch_state_name(change->from),
               colour_of(watch->colours, watch_state_status(change->to)), watch_state_name(change->to),
               colour_end(watch->colours));
    text_print_plain(text, stdout);
    printf("%s)\n", change->flags & SHAKER_CHANGE_SKIPPED ? "; changes in between were too fast to be told" : "");
}

void watch_lines_statistics(const struct watch *watch, FILE *out)
{
    uint64_t now = now_us();

    for (size_t i = 0; i < watch->count; i++) {
        shaker_watch_info info = watch_info(watch, &watch->items[i]);
        char since[24], last[24], smoothed[24], error[128];

        text_print_plain(target_name(watch->items[i].target), out);
        fprintf(out, " : %s for %s, xmt/rcv/%%loss = %" PRIu64 "/%" PRIu64 "/%u%%, changes = %" PRIu64,
                watch_state_name(info.state), watch_duration(now - info.since_us, since, sizeof since),
                info.up + info.down, info.up, watch_loss(&info), info.changes);
        if (info.up > 0)
            fprintf(out, ", last/avg = %s/%s", lines_ms(info.rtt_us, last, sizeof last),
                    lines_ms(info.rtt_smoothed_us, smoothed, sizeof smoothed));
        if (info.no_verdict > 0)
            fprintf(out, ", no verdict = %" PRIu64, info.no_verdict);
        if (info.no_verdict > 0 && info.last.status < SHAKER_OK) {
            records_error(&info.last, error, sizeof error);
            fprintf(out, " (%s)", error);
        }
        fputc('\n', out);
    }
}
