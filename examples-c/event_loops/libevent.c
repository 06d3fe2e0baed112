/* Checks of TCP ports in a libevent loop, on the loop's thread.
 *
 *     cc -o libevent libevent.c $(pkg-config --cflags --libs tcpshaker libevent_core)
 *     ./libevent host:port...
 *
 * The checker has one descriptor for all its checks. It is readable while results wait, and the loop polls it beside
 * the program's own. Only the library reads, writes and closes it.
 */
#include <event2/event.h>
#include <stdio.h>

#include "tcpshaker.h"

#ifndef TRIGGER
#define TRIGGER 0 /* level-triggered; EV_ET is as good, since reap() leaves nothing behind */
#endif

static shaker_checker *checker;
static size_t left; /* checks whose result has not come */

/* Takes all results there are: that makes the descriptor unreadable again. */
static void reap(void)
{
    shaker_result results[64];
    size_t count;

    do {
        count = shaker_reap(checker, results, 64, 0); /* 0: does not wait */
        for (size_t i = 0; i < count; i++)
            printf("%s %s\n", (const char *)results[i].user_data, shaker_status_str(results[i].status));
        left -= count;
    } while (count == 64);
}

static void on_readable(evutil_socket_t fd, short events, void *base)
{
    (void)fd, (void)events;
    reap();
    if (left == 0)
        event_base_loopbreak(base); /* a service would go on */
}

int main(int argc, char **argv)
{
    struct event_base *base = event_base_new();
    struct event *event;

    if (argc < 2) {
        fputs("usage: libevent host:port...\n", stderr);
        return 2;
    }
    if (base == NULL || shaker_checker_new(NULL, &checker) != SHAKER_OK)
        return 1;
    event = event_new(base, shaker_checker_fd(checker), EV_READ | EV_PERSIST | TRIGGER, on_readable, base);
    if (event == NULL || event_add(event, NULL) != 0)
        return 1;
    for (int i = 1; i < argc; i++) {
        shaker_request request = {.addr = argv[i], .user_data = argv[i]};

        if (shaker_submit(checker, &request, 1, NULL) != SHAKER_OK) /* which does not wait */
            return 1;
        left++;
    }
    event_base_dispatch(base);
    event_free(event);
    event_base_free(base);
    shaker_checker_free(checker); /* after the loop has let go of its descriptor */
    return left != 0;
}
