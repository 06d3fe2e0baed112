/* tcp-checker watch: has a monitor of the library check the targets, and what it tells shown. */
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "complain.h"
#include "history.h"
#include "signals.h"
#include "terminal.h"
#include "watch.h"
#include "watch_lines.h"
#include "watch_metrics.h"
#include "watch_table.h"

/* The first checks of a list that is no longer are all made at once: people want to see something. */
enum { FEW_TARGETS = 256, TABLE_WAIT_MS = 200, METRICS_WAIT_MS = 1000, BATCH = 256 };

const char *watch_state_name(int32_t state)
{
    return state == SHAKER_STATE_UP ? "up" : state == SHAKER_STATE_DOWN ? "down" : "unknown";
}

shaker_status watch_state_status(int32_t state)
{
    return state == SHAKER_STATE_UP ? SHAKER_OK : state == SHAKER_STATE_DOWN ? SHAKER_REFUSED : SHAKER_ERR_BUSY;
}

shaker_watch_info watch_info(const struct watch *watch, const struct watched *watched)
{
    shaker_watch_info info = {0};

    shaker_monitor_get(watch->monitor, watched->id, &info, sizeof info);
    return info;
}

/* ---- the start ---- */

static int by_text(const void *a, const void *b)
{
    const struct target *const *one = a, *const *other = b;

    return strcmp((*one)->text, (*other)->text);
}

/* Of targets that were given twice, all but one are marked: they would have the same name in what is shown. */
static void mark_twins(const struct targets *targets, bool *is_twin)
{
    struct target **sorted = must(malloc(targets->count * sizeof *sorted));

    for (size_t i = 0; i < targets->count; i++)
        sorted[i] = &targets->items[i];
    qsort(sorted, targets->count, sizeof *sorted, by_text);
    for (size_t i = 1; i < targets->count; i++) {
        if (strcmp(sorted[i - 1]->text, sorted[i]->text) == 0)
            is_twin[sorted[i] - targets->items] = true;
    }
    free(sorted);
}

/* Returns whether the target is one. */
static bool add(struct watch *watch, struct target *target)
{
    const struct options *options = watch->options;
    struct watched *watched = &watch->items[watch->count];
    const shaker_watch wanted = {.addr = target->text,
                                 .flags = options->flags,
                                 .interval_ms = options->interval_ms,
                                 .fall = options->fall,
                                 .rise = options->rise,
                                 .user_data = watched};
    shaker_status status;

    *watched = (struct watched){.target = target};
    status = shaker_monitor_add(watch->monitor, &wanted, 1, &watched->id);
    if (status == SHAKER_ERR_ADDRESS) {
        target_complain(target);
        return false;
    }
    if (status == SHAKER_ERR_UNSUPPORTED)
        fail("--full and --linger are not for --engine raw");
    if (status != SHAKER_OK)
        give_up("watching", status);
    watch->count++;
    return true;
}

/* Returns how many of the targets are none. */
static size_t start(struct watch *watch, shaker_checker *checker)
{
    const struct options *options = watch->options;
    shaker_monitor_config *config = must(shaker_monitor_config_new());
    bool *is_twin = must(calloc(options->targets.count, sizeof *is_twin));
    size_t malformed = 0;
    shaker_status status;

    shaker_monitor_config_set_every_result(config, !options->quiet || options->metrics_file != NULL);
    if (options->targets.count <= FEW_TARGETS)
        shaker_monitor_config_set_max_spread(config, 0);
    if ((status = shaker_monitor_new(checker, config, &watch->monitor)) != SHAKER_OK)
        give_up("starting the monitor", status);
    shaker_monitor_config_free(config);

    watch->items = must(malloc(options->targets.count * sizeof *watch->items));
    mark_twins(&options->targets, is_twin);
    for (size_t i = 0; i < options->targets.count; i++) {
        if (!is_twin[i])
            malformed += !add(watch, &options->targets.items[i]);
    }
    free(is_twin);
    return malformed;
}

/* ---- what the monitor tells ---- */

static void note(struct watch *watch, const shaker_change *change)
{
    struct watched *watched = change->user_data;
    const shaker_result *result = &change->last;
    bool told;

    watched->sparks[watched->spark_count++ % SPARKS] = result->status == SHAKER_OK  ? (int64_t)result->rtt_us
                                                       : result->status > SHAKER_OK ? TIME_LOST
                                                                                    : TIME_UNKNOWN;
    if (result->status == SHAKER_OK)
        watch_metrics_count(watched, result->rtt_us);
    watched->state = change->to;
    /* A check without a verdict changes no state. The first one of a row is told all the same. */
    told = change->from != change->to || (result->status < SHAKER_OK && !watched->without_verdict);
    watched->without_verdict = result->status < SHAKER_OK;
    if (told && !watch->table && !watch->options->quiet)
        watch_lines_print(watch, change);
}

static size_t reap(struct watch *watch)
{
    shaker_change changes[BATCH];
    size_t count = shaker_monitor_reap(watch->monitor, changes, BATCH, 0);

    for (size_t i = 0; i < count; i++)
        note(watch, &changes[i]);
    return count;
}

static int exit_status(const struct watch *watch, size_t malformed)
{
    size_t down = 0, unknown = 0;

    for (size_t i = 0; i < watch->count; i++) {
        down += watch->items[i].state == SHAKER_STATE_DOWN;
        unknown += watch->items[i].state == SHAKER_STATE_UNKNOWN;
    }
    return malformed > 0 ? EXIT_USAGE : down > 0 ? EXIT_SOME_DOWN : unknown > 0 ? EXIT_NO_VERDICT : 0;
}

int watch_run(shaker_checker *checker, struct options *options)
{
    struct watch watch = {.options = options, .started_us = now_us()};
    struct watch_metrics metrics = {.path = options->metrics_file};
    size_t malformed;
    int status;

    watch.table = isatty(STDOUT_FILENO) != 0 && options->format == FORMAT_LINES && !options->quiet;
    watch.colours = terminal_has_colours(stdout);
    malformed = start(&watch, checker);
    watch_metrics_start(&watch, &metrics);
    if (watch.table && watch.count > 0)
        watch_table_start();
    while (watch.count > 0 && !interrupted()) {
        struct pollfd descriptors[] = {{.fd = shaker_monitor_fd(watch.monitor), .events = POLLIN},
                                       {.fd = signals_fd(), .events = POLLIN}};
        size_t count = reap(&watch);

        watch_metrics_tick(&watch, &metrics, count);
        if (watch.table)
            watch_table_tick(&watch);
        if (statistics_wanted() && !watch.table)
            watch_lines_statistics(&watch, stderr);
        fflush(stdout);
        if (count == 0)
            poll(descriptors, 2, watch.table ? TABLE_WAIT_MS : metrics.changed ? METRICS_WAIT_MS : -1);
    }
    if (watch.table && watch.count > 0)
        watch_table_end();
    watch_metrics_end(&watch, &metrics);
    if (options->format == FORMAT_LINES && !options->quiet)
        watch_lines_statistics(&watch, watch.table ? stdout : stderr);
    status = exit_status(&watch, malformed);
    shaker_monitor_free(watch.monitor);
    free(watch.items);
    return status;
}
