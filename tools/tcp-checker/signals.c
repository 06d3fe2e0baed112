/* Signals: the handlers only leave word, and whoever runs the checks asks for it. */
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "signals.h"

static atomic_bool ends, asked;
/* Readable while there is word: a signal that comes just before poll(2) would else be seen after its wait alone. */
static int descriptor = -1;

static void leave_word(int signal_number)
{
    uint64_t one = 1;

    if (signal_number == SIGQUIT)
        asked = true;
    else
        ends = true;
    if (write(descriptor, &one, sizeof one) < 0) {
        /* It is full: readable already. */
    }
}

void signals_catch(void)
{
    /* The second Ctrl-C finds the system's own handling again, whatever the first is waiting for. */
    struct sigaction end = {.sa_handler = leave_word, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
    struct sigaction ask = {.sa_handler = leave_word, .sa_flags = SA_RESTART};

    /* A reader that goes away ends the run, also where whoever started it ignores this, as systemd does. */
    signal(SIGPIPE, SIG_DFL);
    descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sigaction(SIGINT, &end, NULL);
    sigaction(SIGTERM, &end, NULL);
    sigaction(SIGQUIT, &ask, NULL);
}

bool interrupted(void)
{
    return ends;
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
