/* One check after the other, by the blocking call: it asks on the caller's own thread, which a hand-over to the
 * library's thread and back would only slow down.
 *
 * A thread makes the checks, since the call returns for no signal. The main thread waits for its end, shows progress
 * meanwhile, and cancels the check under way on Ctrl-C. */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "interrupt.h"
#include "one_at_a_time.h"

/* The longest sleep of the main thread, of the checking thread, and of the main thread once it is interrupted. */
enum { LONGEST_WAIT_MS = 200, LONGEST_PAUSE_MS = 20, CANCEL_EVERY_MS = 1 };

struct sequence {
    shaker_checker *checker;
    struct pace *pace;
    pthread_mutex_t reporting; /* guards the report and all output */
    struct report *report;
    int end[2];                /* a pipe; the checking thread closes its second end when it is done */
};

/* Waits until the rate allows a check, but for no longer than a Ctrl-C may go unseen. */
static bool may_start(struct sequence *sequence)
{
    double next_ms;

    if (pace_allows(sequence->pace) > 0)
        return true;
    next_ms = pace_next_ms(sequence->pace);
    poll(NULL, 0, next_ms >= LONGEST_PAUSE_MS ? LONGEST_PAUSE_MS : (int)next_ms + 1);
    return false;
}

static void *make_checks(void *argument)
{
    struct sequence *sequence = argument;
    const struct options *options = sequence->report->options;
    uint64_t made = 0;

    while (made < options->checks && !interrupted()) {
        struct target *target = &options->targets[made % options->target_count];
        shaker_result result;

        if (!may_start(sequence))
            continue;
        pace_spend(sequence->pace, 1);
        shaker_check_addr(sequence->checker, target->text, 0, &result);
        made++;

        pthread_mutex_lock(&sequence->reporting);
        report_result(sequence->report, target, &result);
        /* Whoever reads the lines wants them now. */
        fflush(stdout);
        pthread_mutex_unlock(&sequence->reporting);
    }
    close(sequence->end[1]);
    return NULL;
}

static void start(pthread_t *thread, struct sequence *sequence)
{
    sigset_t waking, before;
    int error;

    /* Ctrl-C is to wake the main thread. */
    sigemptyset(&waking);
    sigaddset(&waking, SIGINT);
    sigaddset(&waking, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &waking, &before);
    error = pthread_create(thread, NULL, make_checks, sequence);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        fprintf(stderr, "tcp-checker: starting a thread: %s\n", strerror(error));
        exit(EXIT_NO_VERDICT);
    }
}

void run_one_at_a_time(shaker_checker *checker, struct pace *pace, struct report *report)
{
    struct sequence sequence = {
        .checker = checker, .pace = pace, .report = report, .reporting = PTHREAD_MUTEX_INITIALIZER};
    struct pollfd end = {.events = POLLIN};
    pthread_t thread;

    if (pipe(sequence.end) != 0) {
        fprintf(stderr, "tcp-checker: making a pipe: %s\n", strerror(errno));
        exit(EXIT_NO_VERDICT);
    }
    end.fd = sequence.end[0];
    start(&thread, &sequence);
    /* A signal that came just before poll() would go unseen without a limit. A check may begin just after a cancel,
     * so it is cancelled again and again until the thread has seen the interrupt. */
    while (poll(&end, 1, interrupted() ? CANCEL_EVERY_MS : LONGEST_WAIT_MS) <= 0) {
        if (interrupted())
            shaker_cancel(checker, 0);
        pthread_mutex_lock(&sequence.reporting);
        report_progress(report);
        pthread_mutex_unlock(&sequence.reporting);
    }
    pthread_join(thread, NULL);
    close(sequence.end[0]);
    pthread_mutex_destroy(&sequence.reporting);
}
