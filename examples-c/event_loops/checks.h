/* Ten thousand checks for a program with an event loop of its own: what is the same whichever loop it is. The loop's
 * part is to call on_readable() whenever the descriptor is readable, and to end when is_over() says so.
 *
 * Targets are 127.1.0.0 and up, live on the first port of the command line and refusing on the second, in turn. */

#ifndef CHECKS_H
#define CHECKS_H

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tcpshaker.h"

#define CHECKS 10000
#define WAVE 500 /* submitted at once; the next when these are back */

/* What this machine forbids is no failure of the library: the test says SKIPPED. */
#define EXIT_SKIPPED 77

static struct {
    shaker_checker *checker;
    int fd;
    in_port_t ports[2];
    pid_t thread;
    unsigned submitted, back;
    unsigned up, refused, wrong, twice, wakeups, idle_wakeups, most_threads;
    unsigned char seen[CHECKS];
} checks;

static inline void give_up(const char *what)
{
    perror(what);
    exit(1);
}

/* This process's threads now: its own one and the checker's one loop, if it has one, or something started more. */
static inline unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) give_up("/proc/self/task");
    while (readdir(tasks) != NULL) count++;
    closedir(tasks);
    return count - 2; /* . and .. */
}

static inline void submit_wave(void)
{
    static shaker_request requests[WAVE];
    static struct sockaddr_in addresses[WAVE];
    memset(requests, 0, sizeof requests);
    for (unsigned i = 0; i < WAVE; i++) {
        unsigned number = checks.submitted + i;
        addresses[i] = (struct sockaddr_in){
            .sin_family = AF_INET,
            .sin_port = htons(checks.ports[number % 2]),
            .sin_addr.s_addr = htonl(0x7f010000 + number),
        };
        requests[i].sockaddr = (struct sockaddr *)&addresses[i];
        requests[i].sockaddr_len = sizeof addresses[i];
        requests[i].user_data = &checks.seen[number];
    }
    if (shaker_submit(checks.checker, requests, WAVE, NULL) != SHAKER_OK) give_up("shaker_submit");
    checks.submitted += WAVE;
}

static inline void start_checks(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s LIVE_PORT DEAD_PORT [VARIANT]\n", argv[0]);
        exit(2);
    }
    checks.ports[0] = (in_port_t)atoi(argv[1]);
    checks.ports[1] = (in_port_t)atoi(argv[2]);
    checks.thread = gettid();
    const char *driven = getenv("TCPSHAKER_DRIVEN");
    shaker_config *config = shaker_config_new();
    if (shaker_config_set_caller_driven(config, driven != NULL && *driven) != SHAKER_OK)
        give_up("shaker_config_set_caller_driven");
    const char *engine = getenv("TCPSHAKER_ENGINE");
    if (engine != NULL && strcmp(engine, "raw") == 0
        && shaker_config_set_engine(config, SHAKER_ENGINE_RAW) != SHAKER_OK)
        give_up("shaker_config_set_engine");
    if (shaker_config_set_timeout(config, 60000) != SHAKER_OK) give_up("shaker_config_set_timeout");
    if (shaker_checker_new(config, &checks.checker) != SHAKER_OK) give_up("shaker_checker_new");
    shaker_config_free(config);
    checks.fd = shaker_checker_fd(checks.checker);
    if (checks.fd < 0) give_up("shaker_checker_fd");
    submit_wave();
}

static inline bool is_over(void)
{
    return checks.back == CHECKS;
}

/* Takes all results there are. */
static inline void on_readable(void)
{
    shaker_result results[128];
    size_t count;
    checks.wakeups++;
    if (gettid() != checks.thread) {
        fputs("called on another thread\n", stderr);
        exit(1);
    }
    unsigned before = checks.back;
    do {
        count = shaker_reap(checks.checker, results, 128, 0);
        for (size_t i = 0; i < count; i++) {
            unsigned char *seen = results[i].user_data;
            unsigned number = (unsigned)(seen - checks.seen);
            shaker_status expected = number % 2 == 0 ? SHAKER_OK : SHAKER_REFUSED;
            checks.back++;
            if ((*seen)++ != 0) checks.twice++;
            if (results[i].status != expected || ntohl(results[i].address.in.sin_addr.s_addr) != 0x7f010000 + number) {
                checks.wrong++;
            } else if (expected == SHAKER_OK) {
                checks.up++;
            } else {
                checks.refused++;
            }
        }
    } while (count == 128);
    if (checks.back == before) checks.idle_wakeups++;
    unsigned threads = count_threads();
    if (threads > checks.most_threads) checks.most_threads = threads;
    if (checks.back == checks.submitted && checks.submitted < CHECKS) submit_wave();
}

static inline int end_checks(void)
{
    struct pollfd fd = {.fd = checks.fd, .events = POLLIN};
    int readable = poll(&fd, 1, 0);
    shaker_stats stats;
    if (shaker_checker_stats(checks.checker, &stats, sizeof stats) != SHAKER_OK) give_up("shaker_checker_stats");
    if (shaker_checker_free(checks.checker) != SHAKER_OK) give_up("shaker_checker_free");
    printf("up %u\nrefused %u\nwrong %u\ntwice %u\n", checks.up, checks.refused, checks.wrong, checks.twice);
    printf("readable at the end %d\nthreads %u\n", readable, checks.most_threads);
    printf("idle wake-ups %u\n", checks.idle_wakeups);
    printf("completed handshakes %llu\n", (unsigned long long)stats.completed_handshakes);
    fprintf(stderr, "%u wake-ups\n", checks.wakeups);
    return 0;
}

#endif
