/* Health checks in a program that has a thread for each core and shares nothing between them, as HAProxy has: each thread
 * waits in an epoll loop of its own, watches its share of the targets, and prints what changes.
 *
 *     ./thread_per_core THREADS host:port...
 *
 * A caller-driven checker makes no thread. It gets on only inside calls of the thread that owns it, so no two threads ever
 * meet in it. It must be driven within 200 ms of an answer, or the handshake is completed; the verdict is right even then.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "tcpshaker.h"

static const char *const STATES[] = {"unknown", "up", "down"};

static char **targets;
static size_t target_count, thread_count;

static void give_up(const char *what)
{
    fprintf(stderr, "thread_per_core: %s\n", what);
    exit(1);
}

/* A checker and a monitor for one thread, with each target whose turn it is. */
static shaker_monitor *watch_share(size_t thread)
{
    shaker_config *config = shaker_config_new();
    shaker_checker *checker;
    shaker_monitor *monitor;

    if (shaker_config_set_caller_driven(config, true) != SHAKER_OK || shaker_checker_new(config, &checker) != SHAKER_OK)
        give_up("no such checker here");
    shaker_config_free(config);
    if (shaker_monitor_new(checker, NULL, &monitor) != SHAKER_OK)
        give_up("no monitor");
    for (size_t i = thread; i < target_count; i += thread_count) {
        shaker_watch watch = {.addr = targets[i], .interval_ms = 1000, .timeout_ms = 500, .user_data = targets[i]};

        if (shaker_monitor_add(monitor, &watch, 1, NULL) != SHAKER_OK)
            give_up(targets[i]);
    }
    return monitor;
}

/* The monitor has something to do: a check to begin, an answer, a deadline, a change to tell. */
static void drive(shaker_monitor *monitor, size_t thread)
{
    shaker_change changes[32];
    size_t count;

    do {
        count = shaker_monitor_reap(monitor, changes, 32, 0);
        for (size_t i = 0; i < count; i++)
            printf("thread %zu: %s is %s\n", thread, (const char *)changes[i].user_data, STATES[changes[i].to]);
    } while (count == 32);
}

static void *run(void *number)
{
    size_t thread = (size_t)number;
    shaker_monitor *monitor = watch_share(thread);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    /* A proxy has its listeners and its clients here, too, and may pin the thread to its core. */
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = monitor};

    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, shaker_monitor_fd(monitor), &event) != 0)
        give_up("epoll");
    for (;;)
        if (epoll_wait(epoll, &event, 1, -1) == 1 && event.data.ptr == monitor)
            drive(monitor, thread);
    return NULL;
}

int main(int argc, char **argv)
{
    long threads = argc > 2 ? atol(argv[1]) : 0;

    if (threads < 1 || threads > 1024) {
        fputs("usage: thread_per_core THREADS host:port...\n", stderr);
        return 2;
    }
    thread_count = (size_t)threads;
    targets = argv + 2;
    target_count = (size_t)argc - 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t thread = 1; thread < thread_count; thread++) {
        pthread_t started;

        if (pthread_create(&started, NULL, run, (void *)thread) != 0)
            give_up("no thread");
    }
    run((void *)0); /* this thread is one of them */
}
