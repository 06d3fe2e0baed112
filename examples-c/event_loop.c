/* Health checks inside an event loop, on one thread: an epoll loop that checks a list of targets
 * every second through shaker_checker_fd(), beside a timer and standard input, and prints changes
 * of state only.
 *
 *     ./event_loop host:port...
 *
 * Enter prints the table, q and Enter quits. Nothing here ever waits for a target: in a real
 * program the same loop would serve its clients meanwhile.
 *
 * A monitor has the timer and the states in the library: watch.c. This is for programs that want a schedule or a
 * notion of "down" of their own.
 */
#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "tcpshaker.h"

enum state { UNKNOWN, UP, DOWN };
static const char *const STATE_NAMES[] = {"unknown", "up", "down"};

struct target {
    const char *addr;
    enum state state;
    bool in_flight;       /* never two checks of one target at once */
    bool checked;
    shaker_result latest; /* valid once checked */
};

static void print_line(const struct target *target, const char *before)
{
    char clock[16], text[256] = "not checked yet";
    time_t now = time(NULL);

    strftime(clock, sizeof clock, "%H:%M:%S", localtime(&now));
    if (target->checked)
        shaker_result_str(&target->latest, text, sizeof text);
    printf("%s  %s  %s%s  (%s)\n", clock, target->addr, before, STATE_NAMES[target->state], text);
}

/* Called every second: one check for each target that has none under way. */
static void submit_round(shaker_checker *checker, struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        shaker_request request = {.addr = targets[i].addr, .user_data = &targets[i]};

        if (!targets[i].in_flight && shaker_submit(checker, &request, 1, NULL) == SHAKER_OK)
            targets[i].in_flight = true;
    }
}

/* Called when the checker's descriptor is readable. The descriptor itself is never read: reaping
 * everything is what makes it unreadable again. */
static void reap_results(shaker_checker *checker)
{
    shaker_result results[64];
    size_t count;

    while ((count = shaker_reap(checker, results, 64, 0)) > 0) {
        for (size_t i = 0; i < count; i++) {
            struct target *target = results[i].user_data;
            enum state was = target->state;
            bool first = !target->checked;
            char before[32] = "";

            target->in_flight = false;
            target->checked = true;
            target->latest = results[i];
            /* Negative: nothing was learned, so the target stays what it was. */
            if (results[i].status >= SHAKER_OK)
                target->state = results[i].status == SHAKER_OK ? UP : DOWN;
            if (target->state != was)
                snprintf(before, sizeof before, "%s -> ", STATE_NAMES[was]);
            if (target->state != was || first)
                print_line(target, before);
        }
    }
}

/* Returns false when the user wants to quit; forgets a standard input that has ended. */
static bool read_keys(int epoll, const struct target *targets, size_t count)
{
    char keys[128];
    ssize_t length = read(STDIN_FILENO, keys, sizeof keys);

    if (length <= 0)
        epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    for (ssize_t k = 0; k < length; k++) {
        if (keys[k] == 'q')
            return false;
        for (size_t i = 0; keys[k] == '\n' && i < count; i++)
            print_line(&targets[i], "");
    }
    return true;
}

static bool watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

int main(int argc, char **argv)
{
    /* The first tick comes at once: an it_value of zero would disarm the timer. */
    const struct itimerspec every_second = {.it_interval.tv_sec = 1, .it_value.tv_nsec = 1};
    size_t count = argc > 1 ? (size_t)argc - 1 : 0;
    struct target *targets = calloc(count + 1, sizeof *targets);
    shaker_checker *checker = NULL;
    bool running = true;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    if (count == 0) {
        fputs("usage: event_loop host:port...\n", stderr);
        return 2;
    }
    if (targets == NULL || shaker_checker_new(NULL, &checker) != SHAKER_OK || !watch(epoll, shaker_checker_fd(checker))
        || !watch(epoll, timer) || timerfd_settime(timer, 0, &every_second, NULL) != 0) {
        perror("event_loop");
        return 1;
    }
    /* A file or /dev/null cannot be watched, and then there are no keys to wait for. */
    watch(epoll, STDIN_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < count; i++)
        targets[i].addr = argv[i + 1];

    while (running) {
        struct epoll_event events[3];
        int ready = epoll_wait(epoll, events, 3, -1);

        for (int i = 0; i < ready; i++) {
            uint64_t ticks;

            if (events[i].data.fd == STDIN_FILENO)
                running = read_keys(epoll, targets, count) && running;
            else if (events[i].data.fd != timer)
                reap_results(checker);
            else if (read(timer, &ticks, sizeof ticks) == sizeof ticks)
                submit_round(checker, targets, count);
        }
    }
    shaker_checker_free(checker);
    close(timer);
    close(epoll);
    free(targets);
    return 0;
}
