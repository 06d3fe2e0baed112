/* tcp-checker: checks many TCP ports at once from the command line; tcp-checker -h says how.
 *
 * This file runs the checks: it keeps a window of them with the library, waits on its descriptor,
 * and reaps. The command line is read in tcp-checker/options.c, printing is done in
 * tcp-checker/report.c, and tcp-checker/rtt.c keeps the distribution of round-trip times.
 */
#define _XOPEN_SOURCE 700

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tcp-checker/options.h"
#include "tcp-checker/report.h"

enum { BATCH = 256, MOST_QUEUED = 512, LONGEST_WAIT_MS = 200 };

struct run {
    const struct options *options;
    shaker_checker *checker;
    struct report report;
    uint64_t submitted;
    uint64_t with_library; /* submitted and not reaped yet */
    double allowance;      /* checks that the rate allows now */
    uint64_t allowance_us; /* when it was worked out */
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static void fail(const char *what, shaker_status status)
{
    fprintf(stderr, "tcp-checker: %s: %s\n", what, shaker_status_str(status));
    exit(EXIT_NO_VERDICT);
}

/* Every check in flight holds a socket. The soft limit is a default that a program may raise for
 * itself; the hard one is the administrator's word. */
static void make_room_for_sockets(uint32_t at_once)
{
    enum { OTHER_DESCRIPTORS = 100 };
    rlim_t needed = (rlim_t)at_once + OTHER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= needed)
        return;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < needed) {
        fprintf(stderr, "tcp-checker: -c %lu: the limit of descriptors (ulimit -Hn) leaves room for %lu\n",
                (unsigned long)at_once,
                limit.rlim_max > OTHER_DESCRIPTORS ? (unsigned long)limit.rlim_max - OTHER_DESCRIPTORS : 0UL);
        exit(EXIT_USAGE);
    }
    limit.rlim_cur = needed;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* A check's timeout runs from its submission, so one that the rate does not allow yet is kept back
 * here. The library's own limit then only smooths what is handed over. */
static uint64_t allowed_by_rate(struct run *run)
{
    uint64_t now = now_us();
    double rate = run->options->rate;
    /* What went unused is made up for, but never more than waits its turn in a quarter of its timeout. */
    double most = rate * (run->options->timeout_ms < 400 ? run->options->timeout_ms : 400) / 4000;

    if (run->options->rate == 0)
        return UINT64_MAX;
    run->allowance += rate * (double)(now - run->allowance_us) / 1e6;
    run->allowance_us = now;
    if (run->allowance > most && run->allowance > 1)
        run->allowance = most > 1 ? most : 1;
    return (uint64_t)run->allowance;
}

/* However many may be in flight at once, starting them takes its time, and looking up their names
 * too: a check that waits for that in the library's queue is on the clock already, here it is not. */
static uint64_t allowed_by_queue(const struct run *run)
{
    shaker_stats stats;

    if (run->options->at_once <= MOST_QUEUED || shaker_checker_stats(run->checker, &stats, sizeof stats) != SHAKER_OK)
        return MOST_QUEUED;
    return stats.queued < MOST_QUEUED ? MOST_QUEUED - stats.queued : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Fills the window, target after target, round after round. */
static void submit_more(struct run *run)
{
    const struct options *options = run->options;
    uint64_t room = least(options->at_once - run->with_library, options->checks - run->submitted);

    room = least(room, least(allowed_by_rate(run), allowed_by_queue(run)));
    while (room > 0) {
        shaker_request requests[BATCH];
        size_t count = (size_t)least(room, BATCH);
        shaker_status status;

        memset(requests, 0, count * sizeof *requests);
        for (size_t i = 0; i < count; i++) {
            struct target *target = &options->targets[(run->submitted + i) % options->target_count];

            requests[i].addr = target->text;
            requests[i].user_data = target;
        }
        if ((status = shaker_submit(run->checker, requests, count, NULL)) != SHAKER_OK)
            fail("submitting checks", status);
        run->submitted += count;
        run->with_library += count;
        run->allowance -= (double)count;
        room -= count;
    }
}

static size_t reap(struct run *run, uint32_t wait_ms)
{
    shaker_result results[BATCH];
    size_t count = shaker_reap(run->checker, results, BATCH, wait_ms);

    for (size_t i = 0; i < count; i++)
        report_result(&run->report, results[i].user_data, &results[i]);
    run->with_library -= count;
    return count;
}

/* Sleeps until results wait, but never so long that progress stands still, a check is held back
 * without need, or a signal that came just before poll() goes unseen. */
static void wait_for_results(struct run *run)
{
    struct pollfd descriptor = {.fd = shaker_checker_fd(run->checker), .events = POLLIN};
    int wait_ms = LONGEST_WAIT_MS;

    if (run->with_library < run->options->at_once && run->submitted < run->options->checks) {
        double next_ms = run->options->rate > 0 ? (1 - run->allowance) * 1000 / run->options->rate : 0;

        wait_ms = next_ms >= LONGEST_WAIT_MS ? LONGEST_WAIT_MS : next_ms > 0 ? (int)next_ms + 1 : 1;
    }
    /* Whoever reads the lines wants them now. */
    fflush(stdout);
    poll(&descriptor, 1, wait_ms);
}

static void run_checks(struct run *run)
{
    while (run->report.finished < run->options->checks && !interrupted) {
        submit_more(run);
        if (reap(run, 0) == 0)
            wait_for_results(run);
        report_progress(&run->report);
    }
    if (run->with_library > 0)
        shaker_cancel(run->checker, 0);
    while (run->with_library > 0)
        reap(run, UINT32_MAX);
}

int main(int argc, char **argv)
{
    /* The second Ctrl-C finds the system's own handling again, whatever the first is waiting for. */
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
    struct options options;
    struct run run = {.options = &options};
    shaker_stats stats = {0};
    shaker_status status;
    int exit_status;

    options_read(&options, argc, argv);
    make_room_for_sockets(options.at_once);
    if ((status = shaker_checker_new(options.config, &run.checker)) != SHAKER_OK)
        fail("starting the checker", status);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);

    report_start(&run.report, &options);
    run.allowance_us = run.report.started_us;
    run.allowance = 1;
    run_checks(&run);
    shaker_checker_stats(run.checker, &stats, sizeof stats);
    exit_status = report_end(&run.report, &stats);

    shaker_checker_free(run.checker);
    options_free(&options);
    return exit_status;
}
