/* Ctrl-C and SIGTERM: the handler only leaves word, and whoever runs the checks asks for it. */
#define _XOPEN_SOURCE 700

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#include "interrupt.h"

static atomic_bool caught;

static void interrupt(int signal_number)
{
    (void)signal_number;
    caught = true;
}

void interrupt_catch(void)
{
    /* The second Ctrl-C finds the system's own handling again, whatever the first is waiting for. */
    struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool interrupted(void)
{
    return caught;
}
