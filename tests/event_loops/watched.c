/* Stands between an event loop's example and the library (ld's --wrap), so that a program which a reader would copy is tested
 * as it stands. It makes the checker that the environment asks for, submits in waves, so that the descriptor often
 * becomes readable and unreadable, and tells on standard error at the end what happened. */

#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcpshaker.h"

#define MOST 10000
#define WAVE 500 /* submitted at first, and again when these are back */

shaker_status __real_shaker_checker_new(const shaker_config *config, shaker_checker **checker);
shaker_status __real_shaker_submit(shaker_checker *checker, const shaker_request *requests, size_t count,
                                   uint64_t *ids);
size_t __real_shaker_reap(shaker_checker *checker, shaker_result *results, size_t capacity, uint32_t wait_ms);
shaker_status __real_shaker_checker_free(shaker_checker *checker);

static shaker_request requests[MOST];
static size_t accepted, submitted, back;
static unsigned wakeups, idle_wakeups, most_threads;
static bool is_going_on; /* the reap before took all it could, so that this one belongs to the same wake-up */
static pid_t thread;

static void give_up(const char *what)
{
    fprintf(stderr, "watched: %s\n", what);
    exit(3);
}

/* This process's threads now: its own one and the checker's one loop, if it has one, or something started more. */
static unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");

    if (tasks == NULL)
        give_up("/proc/self/task");
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count - 2; /* . and .. */
}

shaker_status __wrap_shaker_checker_new(const shaker_config *none, shaker_checker **checker)
{
    const char *driven = getenv("TCPSHAKER_DRIVEN"), *engine = getenv("TCPSHAKER_ENGINE");
    int32_t kind = engine != NULL && strcmp(engine, "raw") == 0 ? SHAKER_ENGINE_RAW : SHAKER_ENGINE_SOCKET;
    shaker_config *config = shaker_config_new();
    shaker_status status;

    if (none != NULL)
        give_up("the example has settings of its own");
    if (shaker_config_set_caller_driven(config, driven != NULL && *driven) != SHAKER_OK
        || shaker_config_set_engine(config, kind) != SHAKER_OK || shaker_config_set_timeout(config, 60000) != SHAKER_OK)
        give_up("settings");
    thread = gettid();
    status = __real_shaker_checker_new(config, checker);
    shaker_config_free(config);
    return status;
}

/* The texts of the requests are those of the command line, which stay. */
shaker_status __wrap_shaker_submit(shaker_checker *checker, const shaker_request *more, size_t count, uint64_t *ids)
{
    if (ids != NULL || accepted + count > MOST)
        give_up("more than it was made for");
    memcpy(requests + accepted, more, count * sizeof *more);
    accepted += count;
    if (accepted > WAVE)
        return SHAKER_OK;
    submitted += count;
    return __real_shaker_submit(checker, more, count, NULL);
}

size_t __wrap_shaker_reap(shaker_checker *checker, shaker_result *results, size_t capacity, uint32_t wait_ms)
{
    size_t count = __real_shaker_reap(checker, results, capacity, wait_ms);
    unsigned threads = count_threads();

    if (gettid() != thread || wait_ms != 0)
        give_up("reaped on another thread, or waited");
    wakeups += !is_going_on;
    idle_wakeups += !is_going_on && count == 0;
    is_going_on = count == capacity;
    if (threads > most_threads)
        most_threads = threads;
    back += count;
    if (back == submitted && submitted < accepted) {
        size_t wave = accepted - submitted < WAVE ? accepted - submitted : WAVE;

        submitted += wave;
        if (__real_shaker_submit(checker, requests + submitted - wave, wave, NULL) != SHAKER_OK)
            give_up("shaker_submit");
    }
    return count;
}

shaker_status __wrap_shaker_checker_free(shaker_checker *checker)
{
    struct pollfd fd = {.fd = shaker_checker_fd(checker), .events = POLLIN};
    int readable = poll(&fd, 1, 0);
    shaker_stats stats;

    if (shaker_checker_stats(checker, &stats, sizeof stats) != SHAKER_OK)
        give_up("shaker_checker_stats");
    fprintf(stderr, "%u wake-ups\nreadable at the end %d\nthreads %u\nidle wake-ups %u\ncompleted handshakes %llu\n",
            wakeups, readable, most_threads, idle_wakeups, (unsigned long long)stats.completed_handshakes);
    return __real_shaker_checker_free(checker);
}
