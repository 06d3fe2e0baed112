/* Tells when TCP ports open and close. The timer, the counts and the spreading are the library's: a monitor has them.
 *
 *     ./watch host:port...       waits for one change after another
 *     ./watch -e host:port...    the same in an epoll loop that calls back; Enter prints the table, q and Enter quits
 *
 * event_loop.c does on single checks, by hand, what the monitor does here.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "tcpshaker.h"

static const char *const STATES[] = {"unknown", "up", "down"};

static shaker_monitor *monitor;
static char **targets;
static uint64_t *ids; /* of their watches */
static int count;

static void print_change(const shaker_change *change)
{
    printf("%s  %s -> %s  (%s)\n", (char *)change->user_data, STATES[change->from], STATES[change->to],
           shaker_status_str(change->last.status));
}

/* What the loop calls when a descriptor is readable; false ends the loop. */
typedef bool callback(int epoll);

/* The monitor's descriptor is never read: it is unreadable again when everything is reaped. */
static bool on_changes(int epoll)
{
    shaker_change changes[64];
    size_t got;

    (void)epoll;
    while ((got = shaker_monitor_reap(monitor, changes, 64, 0)) > 0)
        for (size_t i = 0; i < got; i++)
            print_change(&changes[i]);
    return true;
}

static bool on_key(int epoll)
{
    shaker_watch_info info;
    char key = 0;

    if (read(STDIN_FILENO, &key, 1) != 1)
        epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL); /* it has ended, and the watching goes on */
    for (int i = 0; key == '\n' && i < count; i++)
        if (shaker_monitor_get(monitor, ids[i], &info, sizeof info) == SHAKER_OK)
            printf("%s  %s  (rtt %u us)\n", targets[i], STATES[info.state], info.rtt_smoothed_us);
    return key != 'q';
}

static int run_loop(void)
{
    callback *const callbacks[] = {on_changes, on_key};
    struct epoll_event events[] = {{.events = EPOLLIN, .data.u32 = 0}, {.events = EPOLLIN, .data.u32 = 1}}, ready;
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, shaker_monitor_fd(monitor), &events[0]) != 0)
        return perror("watch"), 1;
    /* A file or /dev/null cannot be watched, and then there are no keys to wait for. */
    epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO, &events[1]);
    for (bool running = true; running;)
        if (epoll_wait(epoll, &ready, 1, -1) == 1)
            running = callbacks[ready.data.u32](epoll);
    close(epoll);
    return 0;
}

int main(int argc, char **argv)
{
    bool in_loop = argc > 1 && strcmp(argv[1], "-e") == 0;
    shaker_checker *checker;
    shaker_change change;
    int status = 0;

    targets = argv + 1 + in_loop;
    count = argc - 1 - in_loop;
    ids = calloc((size_t)argc, sizeof *ids);
    if (count < 1 || ids == NULL)
        return fputs("usage: watch [-e] host:port...\n", stderr), 2;
    if (shaker_checker_new(NULL, &checker) != SHAKER_OK || shaker_monitor_new(checker, NULL, &monitor) != SHAKER_OK)
        return fputs("watch: no monitor could be made\n", stderr), 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < count; i++) {
        shaker_watch watch = {.addr = targets[i], .interval_ms = 500, .user_data = targets[i]};

        watch.falling_ms = watch.rising_ms = 100; /* as long as it is not sure */
        if (shaker_monitor_add(monitor, &watch, 1, &ids[i]) != SHAKER_OK)
            fprintf(stderr, "watch: not an address: %s\n", targets[i]);
    }
    if (in_loop)
        status = run_loop();
    else
        while (shaker_monitor_reap(monitor, &change, 1, UINT32_MAX) > 0)
            print_change(&change);
    shaker_monitor_free(monitor);
    shaker_checker_free(checker);
    free(ids);
    return status;
}
