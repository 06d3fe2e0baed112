/* Makes the checks: keeps a window of them with the library, waits on its descriptor, and reaps. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "complain.h"
#include "pace.h"
#include "run.h"
#include "schedule.h"
#include "signals.h"

enum { BATCH = 256, MOST_QUEUED = 512, LONGEST_WAIT_MS = 60000 };

struct window {
    struct options *options;
    shaker_checker *checker;
    struct schedule schedule;
    struct pace pace;
    struct report *report;
    uint64_t with_library; /* submitted and not reaped yet */
};

/* However many may be in flight at once, starting them takes its time, and looking up their names
 * too: a check that waits for that in the library's queue is on the clock already, here it is not. */
static uint64_t allowed_by_queue(const struct window *window)
{
    shaker_stats stats;

    if (window->options->at_once <= MOST_QUEUED
        || shaker_checker_stats(window->checker, &stats, sizeof stats) != SHAKER_OK)
        return MOST_QUEUED;
    return stats.queued < MOST_QUEUED ? MOST_QUEUED - stats.queued : 0;
}

/* A machine that stalls starts fewer checks than the rate allows. What the library has not started yet must not grow
 * until it is too late for its turn. */
static uint64_t allowed_by_backlog(const struct window *window)
{
    uint64_t most = (uint64_t)pace_most(&window->pace), waiting;
    shaker_stats stats;

    if (window->options->rate == 0 || shaker_checker_stats(window->checker, &stats, sizeof stats) != SHAKER_OK)
        return UINT64_MAX;
    waiting = window->with_library > stats.in_flight ? window->with_library - stats.in_flight : 0;
    return waiting < most ? most - waiting : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Fills the window with those whose turn it is. */
static void submit_more(struct window *window)
{
    const struct options *options = window->options;
    uint64_t now = options->spaced ? now_us() : 0, room = options->at_once - window->with_library;

    if (room == 0 || schedule_allows(&window->schedule, now) == 0)
        return;
    room = least(room, least(pace_allows(&window->pace), allowed_by_queue(window)));
    room = least(room, allowed_by_backlog(window));
    while (room > 0 && schedule_allows(&window->schedule, now) > 0) {
        shaker_request requests[BATCH];
        size_t most = (size_t)least(room, BATCH), count = 0;
        shaker_status status;

        memset(requests, 0, most * sizeof *requests);
        for (; count < most && schedule_allows(&window->schedule, now) > 0; count++) {
            struct target *target = schedule_next(&window->schedule, now);

            requests[count].addr = target->text;
            requests[count].flags = options->flags;
            requests[count].user_data = target;
        }
        if ((status = shaker_submit(window->checker, requests, count, NULL)) != SHAKER_OK)
            give_up("submitting checks", status);
        window->with_library += count;
        pace_spend(&window->pace, count);
        room -= count;
    }
}

static size_t reap(struct window *window, uint32_t wait_ms)
{
    shaker_result results[BATCH];
    size_t count = shaker_reap(window->checker, results, BATCH, wait_ms);
    uint64_t now = count > 0 ? now_us() : 0;

    for (size_t i = 0; i < count; i++) {
        struct target *target = results[i].user_data;

        report_result(window->report, target, &results[i], now);
        schedule_ended(&window->schedule, target, now);
    }
    window->with_library -= count;
    /* Whoever reads the lines of one check after the other wants each of them now. */
    if (count > 0 && window->options->at_once == 1)
        fflush(stdout);
    return count;
}

/* Sleeps until results wait or a signal came, but never so long that progress or statistics stand still, or that a
 * check is held back without need. */
static void wait_for_results(struct window *window)
{
    struct pollfd descriptors[] = {{.fd = shaker_checker_fd(window->checker), .events = POLLIN},
                                   {.fd = signals_fd(), .events = POLLIN}};
    uint64_t now = now_us(), wait_us = least(report_wait_us(window->report, now), LONGEST_WAIT_MS * 1000);

    if (window->with_library < window->options->at_once && schedule_wait_us(&window->schedule, now) != UINT64_MAX) {
        double pace_ms = pace_next_ms(&window->pace);
        uint64_t pace_us = pace_ms > 0 ? (uint64_t)(pace_ms * 1000) : 0;
        uint64_t turn_us = schedule_wait_us(&window->schedule, now);

        /* The library holds something back, such as a long queue, that nobody tells the end of. */
        if (pace_us == 0 && turn_us == 0)
            pace_us = 1000;
        wait_us = least(wait_us, pace_us > turn_us ? pace_us : turn_us);
    }
    fflush(stdout);
    poll(descriptors, 2, (int)((wait_us + 999) / 1000));
}

void run(shaker_checker *checker, struct options *options, struct report *report)
{
    struct window window = {.options = options, .checker = checker, .report = report};

    schedule_start(&window.schedule, options, report->started_us);
    pace_start(&window.pace, options, report->started_us);
    while ((!schedule_is_over(&window.schedule) || window.with_library > 0) && !interrupted()) {
        submit_more(&window);
        if (reap(&window, 0) == 0)
            wait_for_results(&window);
        report_tick(report);
    }
    if (window.with_library > 0)
        shaker_cancel(checker, 0);
    while (window.with_library > 0)
        reap(&window, UINT32_MAX);
    schedule_free(&window.schedule);
}
