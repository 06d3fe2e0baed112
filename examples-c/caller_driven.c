/* A front for several backends, all on one thread: it listens, checks its backends, and sends each client to one that is
 * up. The checker is caller-driven, so that the library makes no thread either: it gets on inside shaker_reap(), which the
 * program calls when the checker's descriptor is readable.
 *
 *     ./caller_driven PORT ADDRESS:PORT...   a front on 127.0.0.1:PORT for these backends
 *     ./caller_driven                        shows itself: two backends of its own that go away, and clients
 *
 * A proxy would now connect to the backend and pass the bytes on; this one tells its client where it would.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "tcpshaker.h"

enum { MOST_BACKENDS = 64, INTERVAL_MS = 1000, INTERVAL_SHOWN_MS = 50 };

struct backend {
    char address[64];
    bool is_up, is_being_checked;
    int own_listener; /* of a backend that the program plays itself; else -1 */
};

static struct backend backends[MOST_BACKENDS];
static size_t backend_count, next_backend;
static shaker_checker *checker;
static int epoll, front, timer, checker_fd;
static bool is_show;

static void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        give_up("epoll_ctl");
}

/* Listens on a port of loopback, 0 for any. Writes where to address. */
static int listen_on(in_port_t port, char *address, size_t capacity)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0
        || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 128) != 0
        || getsockname(fd, (struct sockaddr *)&at, &length) != 0)
        give_up("listen");
    snprintf(address, capacity, "127.0.0.1:%d", ntohs(at.sin_port));
    return fd;
}

/* At each tick: one check for each backend that has none under way. */
static void check_backends(void)
{
    uint64_t ticks;

    if (read(timer, &ticks, sizeof ticks) < 0)
        return;
    for (size_t i = 0; i < backend_count; i++) {
        shaker_request request = {.addr = backends[i].address, .timeout_ms = 500, .user_data = &backends[i]};

        if (!backends[i].is_being_checked && shaker_submit(checker, &request, 1, NULL) == SHAKER_OK)
            backends[i].is_being_checked = true;
    }
}

/* The checker has something to do: an answer, a deadline, a result. Answers must be seen to within 200 ms, or their handshakes
 * are completed; so whatever else this thread does must be short. */
static void drive_checker(void)
{
    shaker_result results[32];
    size_t count;

    do {
        count = shaker_reap(checker, results, 32, 0);
        for (size_t i = 0; i < count; i++) {
            struct backend *backend = results[i].user_data;
            bool is_up = results[i].status == SHAKER_OK;

            backend->is_being_checked = false;
            /* Negative: nothing was learned, so the backend stays what it was. */
            if (results[i].status < 0 || is_up == backend->is_up)
                continue;
            backend->is_up = is_up;
            printf("%s is %s\n", backend->address, is_up ? "up" : "down");
        }
    } while (count == 32);
}

/* The backends that are up, in turn. NULL if none is. */
static struct backend *choose_backend(void)
{
    for (size_t tried = 0; tried < backend_count; tried++) {
        struct backend *backend = &backends[next_backend++ % backend_count];

        if (backend->is_up)
            return backend;
    }
    return NULL;
}

static void serve_client(void)
{
    int client = accept4(front, NULL, NULL, SOCK_CLOEXEC);
    struct backend *backend = choose_backend();
    char line[100];

    if (client < 0)
        return;
    int length = snprintf(line, sizeof line, "%s\n", backend ? backend->address : "no backend is up");
    if (send(client, line, (size_t)length, MSG_NOSIGNAL) < 0)
        perror("send");
    close(client);
}

/* The show's own client. It need not wait for the front, which answers on this very thread: the answer is read at the next
 * step. */
static int connect_client(const char *front_address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    at.sin_port = htons((in_port_t)atoi(strchr(front_address, ':') + 1));
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) != 0)
        give_up("connect");
    return fd;
}

static size_t count_up(void)
{
    size_t up = 0;

    for (size_t i = 0; i < backend_count; i++)
        up += backends[i].is_up;
    return up;
}

/* One step of the show, after each turn of the loop. Returns false at its end. */
static bool go_on_with_show(const char *front_address)
{
    static int client = -1;
    static size_t left = 2;
    char line[100] = "";

    if (client < 0) {
        if (count_up() == left)
            client = connect_client(front_address);
        return true;
    }
    if (recv(client, line, sizeof line - 1, MSG_DONTWAIT) <= 0)
        return true;
    printf("%zu of 2 up, a client is sent to: %s", left, line);
    close(client);
    client = -1;
    if (left == 0)
        return false;
    close(backends[--left].own_listener);
    return true;
}

/* How many threads this process has (proc(5)). */
static int count_threads(void)
{
    char line[200];
    int threads = 0;
    FILE *status = fopen("/proc/self/status", "r");

    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "Threads: %d", &threads) == 1)
            break;
    if (status)
        fclose(status);
    return threads;
}

int main(int argc, char **argv)
{
    shaker_config *config = shaker_config_new();
    char front_address[64];
    struct epoll_event event;

    is_show = argc == 1;
    if (argc == 2 || (size_t)argc > MOST_BACKENDS + 2) {
        fputs("usage: caller_driven [PORT ADDRESS:PORT...]\n", stderr);
        return 2;
    }
    backend_count = is_show ? 2 : (size_t)argc - 2;
    for (size_t i = 0; i < backend_count; i++) {
        if (is_show)
            backends[i].own_listener = listen_on(0, backends[i].address, sizeof backends[i].address);
        else
            snprintf(backends[i].address, sizeof backends[i].address, "%s", argv[i + 2]);
    }
    if (shaker_config_set_caller_driven(config, true) != SHAKER_OK || shaker_checker_new(config, &checker) != SHAKER_OK
        || (checker_fd = shaker_checker_fd(checker)) < 0) {
        fputs("caller_driven: no such checker here\n", stderr);
        return 1;
    }
    shaker_config_free(config);

    int interval_ms = is_show ? INTERVAL_SHOWN_MS : INTERVAL_MS;
    /* The first tick comes at once: an it_value of zero would disarm the timer. */
    struct itimerspec ticks = {.it_value.tv_nsec = 1};
    ticks.it_interval.tv_sec = interval_ms / 1000;
    ticks.it_interval.tv_nsec = interval_ms % 1000 * 1000000L;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll < 0 || timer < 0 || timerfd_settime(timer, 0, &ticks, NULL) != 0)
        give_up("timer");
    front = listen_on(is_show ? 0 : (in_port_t)atoi(argv[1]), front_address, sizeof front_address);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("the front is %s\n", front_address);
    watch(front);
    watch(timer);
    watch(checker_fd);

    while (epoll_wait(epoll, &event, 1, -1) >= 0) {
        if (event.data.fd == checker_fd)
            drive_checker();
        else if (event.data.fd == timer)
            check_backends();
        else
            serve_client();
        if (is_show && !go_on_with_show(front_address))
            break;
    }
    printf("threads of this process: %d\n", count_threads());
    return shaker_checker_free(checker) != SHAKER_OK;
}
