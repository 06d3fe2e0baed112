/* Signals: the handlers only leave word, and whoever runs the checks asks for it. */
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "signals.h"

/* timeout(1) sends its signal to the program and then to the program's group: two of them are one wish. */
#define ONE_WISH_MS 500

static atomic_bool asked;
/* When the first signal came that ends the run, in milliseconds modulo 2^32, and never 0; 0 before. */
static atomic_uint ended_at;
/* Readable while there is word: a signal that comes just before poll(2) would else be seen after its wait alone. */
static int descriptor = -1;

static unsigned now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((unsigned)now.tv_sec * 1000 + (unsigned)(now.tv_nsec / 1000000)) | 1;
}

static void wake_up(void)
{
    uint64_t one = 1;

    if (write(descriptor, &one, sizeof one) < 0) {
        /* It is full: readable already. */
    }
}

static void ask(int signal_number)
{
    (void)signal_number;
    asked = true;
    wake_up();
}

static void end(int signal_number)
{
    unsigned before = 0, now = now_ms();

    if (atomic_compare_exchange_strong(&ended_at, &before, now)) {
        wake_up();
    } else if (now - before >= ONE_WISH_MS) {
        /* The second Ctrl-C ends the program, whatever the first is waiting for. */
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

void signals_catch(void)
{
    struct sigaction ending = {.sa_handler = end, .sa_flags = SA_RESTART};
    struct sigaction asking = {.sa_handler = ask, .sa_flags = SA_RESTART};

    /* A reader that goes away ends the run, also where whoever started it ignores this, as systemd does. */
    signal(SIGPIPE, SIG_DFL);
    descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    /* One at a time: of two that interrupt each other the earlier would look like one that comes much later. */
    sigaddset(&ending.sa_mask, SIGINT);
    sigaddset(&ending.sa_mask, SIGTERM);
    sigaction(SIGINT, &ending, NULL);
    sigaction(SIGTERM, &ending, NULL);
    sigaction(SIGQUIT, &asking, NULL);
}

bool interrupted(void)
{
    return ended_at != 0;
}

bool statistics_wanted(void)
{
    uint64_t count;

    if (!asked)
        return false;
    /* Taken before the word: one that is left in between is seen in the next round. */
    if (read(descriptor, &count, sizeof count) < 0) {
        /* It was empty. */
    }
    return atomic_exchange(&asked, false);
}

int signals_fd(void)
{
    return descriptor;
}
