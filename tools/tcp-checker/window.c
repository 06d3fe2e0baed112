/* Many checks at once: keeps a window of them with the library, waits on its descriptor, and reaps. */
#define _POSIX_C_SOURCE 200809L

#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "interrupt.h"
#include "window.h"

enum { BATCH = 256, MOST_QUEUED = 512, LONGEST_WAIT_MS = 200 };

struct window {
    const struct options *options;
    shaker_checker *checker;
    struct pace *pace;
    struct report *report;
    uint64_t submitted;
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
    uint64_t most = (uint64_t)pace_most(window->pace), waiting;
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

/* Fills the window, target after target, round after round. */
static void submit_more(struct window *window)
{
    const struct options *options = window->options;
    uint64_t room = least(options->at_once - window->with_library, options->checks - window->submitted);

    room = least(room, least(pace_allows(window->pace), allowed_by_queue(window)));
    room = least(room, allowed_by_backlog(window));
    while (room > 0) {
        shaker_request requests[BATCH];
        size_t count = (size_t)least(room, BATCH);
        shaker_status status;

        memset(requests, 0, count * sizeof *requests);
        for (size_t i = 0; i < count; i++) {
            struct target *target = &options->targets[(window->submitted + i) % options->target_count];

            requests[i].addr = target->text;
            requests[i].user_data = target;
        }
        if ((status = shaker_submit(window->checker, requests, count, NULL)) != SHAKER_OK)
            give_up("submitting checks", status);
        window->submitted += count;
        window->with_library += count;
        pace_spend(window->pace, count);
        room -= count;
    }
}

static size_t reap(struct window *window, uint32_t wait_ms)
{
    shaker_result results[BATCH];
    size_t count = shaker_reap(window->checker, results, BATCH, wait_ms);

    for (size_t i = 0; i < count; i++)
        report_result(window->report, results[i].user_data, &results[i]);
    window->with_library -= count;
    return count;
}

/* Sleeps until results wait, but never so long that progress stands still, a check is held back
 * without need, or a signal that came just before poll() goes unseen. */
static void wait_for_results(struct window *window)
{
    struct pollfd descriptor = {.fd = shaker_checker_fd(window->checker), .events = POLLIN};
    int wait_ms = LONGEST_WAIT_MS;

    if (window->with_library < window->options->at_once && window->submitted < window->options->checks) {
        double next_ms = pace_next_ms(window->pace);

        wait_ms = next_ms >= LONGEST_WAIT_MS ? LONGEST_WAIT_MS : next_ms > 0 ? (int)next_ms + 1 : 1;
    }
    /* Whoever reads the lines wants them now. */
    fflush(stdout);
    poll(&descriptor, 1, wait_ms);
}

void run_window(shaker_checker *checker, struct pace *pace, struct report *report)
{
    struct window window = {.options = report->options, .checker = checker, .pace = pace, .report = report};

    while (report->finished < window.options->checks && !interrupted()) {
        submit_more(&window);
        if (reap(&window, 0) == 0)
            wait_for_results(&window);
        report_progress(report);
    }
    if (window.with_library > 0)
        shaker_cancel(checker, 0);
    while (window.with_library > 0)
        reap(&window, UINT32_MAX);
}
