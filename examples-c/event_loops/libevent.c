/* The checker's descriptor in a libevent loop, level-triggered or, as the variant "edge", edge-triggered. */

#include <event2/event.h>

#include "checks.h"

static void readable(evutil_socket_t fd, short events, void *base)
{
    (void)fd;
    if (events & EV_READ) on_readable();
    if (is_over()) event_base_loopbreak(base);
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    if (base == NULL) give_up("event_base_new");
    start_checks(argc, argv);
    short trigger = argc > 3 && strcmp(argv[3], "edge") == 0 ? EV_ET : 0;
    struct event *event = event_new(base, checks.fd, (short)(EV_READ | EV_PERSIST | trigger), readable, base);
    if (event == NULL || event_add(event, NULL) != 0) give_up("event_add");
    event_base_dispatch(base);
    event_free(event);
    event_base_free(base);
    libevent_global_shutdown();
    return end_checks();
}
