/* Half-open health checks for a running HAProxy, which then makes none itself.
 *
 *     ./haproxy_agent SOCKET [INTERVAL_MS [BACKEND]]
 *
 * Reads the servers from HAProxy's runtime socket, watches each of them, and tells HAProxy which are up or down
 * (`set server B/S health`). Servers that HAProxy checks itself are left alone, and those without an address or a port.
 * Every two seconds the servers are read again: some came, went or moved, HAProxy was reloaded, or it thinks otherwise
 * of a server. Each exchange is a connection, and nothing waits but poll(). docs/haproxy.md has the configuration.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tcpshaker.h"

enum { REREAD_MS = 2000, RETRY_MS = 200, TIME_LIMIT_MS = 5000 };
enum { LONGEST_REPLY = 64 << 20 }; /* some 400,000 servers */
enum { CHECK_ENABLED = 0x04, ANY_MAINTENANCE = 0x23 }; /* CHK_ST_ENABLED and SRV_ADMF_MAINT of HAProxy's sources */

struct server {
    char name[512];   /* backend/server */
    char target[128]; /* host:port */
    uint64_t watch;
    int32_t state;       /* a shaker_state: what the monitor says */
    int32_t told;        /* what HAProxy says, as far as is known */
    int32_t telling;     /* what the request under way says; SHAKER_STATE_UNKNOWN: nothing */
    bool in_maintenance; /* HAProxy would not listen */
    bool is_refused;     /* HAProxy does not let it be set, and that was printed */
};

static const char *const STATES[] = {"unknown", "up", "down"};
static struct sockaddr_un haproxy = {.sun_family = AF_UNIX};
static uint32_t interval = 2000;
static const char *backend = "";

static shaker_monitor *monitor;
static struct server **servers;
static size_t count;
/* The exchange under way, if there is one. */
static int connection = -1;
static bool is_reading, out_of_touch;
static int64_t deadline;
static char request[4096], *reply; /* HAProxy takes lines of 15 kB, unless its tune.bufsize is less */
static size_t request_length, sent_length, reply_length, reply_room;
static int64_t next_try, next_reading;

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *or_exit(void *memory)
{
    if (memory == NULL)
        perror("haproxy_agent"), exit(1);
    return memory;
}

static void forget(size_t place)
{
    shaker_monitor_remove(monitor, &servers[place]->watch, 1); /* no change of it comes out after this */
    free(servers[place]);
    servers[place] = servers[--count];
}

/* Adds a server at the end, unless it cannot be watched. */
static void add(const struct server *found)
{
    struct server *server = or_exit(malloc(sizeof *server));
    /* A death is noticed by the next check, after an interval at most, and believed half an interval later. */
    shaker_watch watch = {.addr = found->target, .timeout_ms = interval, .interval_ms = interval, .user_data = server};

    *server = *found;
    watch.falling_ms = watch.rising_ms = interval / 4;
    watch.initial = server->state;
    servers = or_exit(realloc(servers, (count + 1) * sizeof *servers));
    servers[count++] = server;
    shaker_status status = shaker_monitor_add(monitor, &watch, 1, &server->watch);
    if (status != SHAKER_OK) {
        fprintf(stderr, "haproxy_agent: %s (%s): %s\n", server->name, server->target, shaker_status_str(status));
        forget(count - 1);
    }
}

/* Takes a line of `show servers state`; `place` of them were in this answer already, and come first. Returns how many
 * there are now. Most often a server is found in the place that it had last time. */
static size_t read_server(const char *line, size_t place)
{
    char owner[200], name[200], address[64], port[8], check_port[8], check_address[64];
    int state, administrative, check, agent;
    struct server server = {0};
    size_t found = place;

    if (sscanf(line, "%*s %199s %*s %199s %63s %d %d %*s %*s %*s %*s %*s %*s %d %d %*s %*s %*s %7s %*s %*s %7s %63s",
               owner, name, address, &state, &administrative, &check, &agent, port, check_port, check_address)
        != 10)
        return place;
    /* HAProxy's own words for "check it there instead". */
    const char *host = strcmp(check_address, "-") != 0 ? check_address : address;
    const char *service = strcmp(check_port, "0") != 0 ? check_port : port;
    /* No address is "-", "0.0.0.0" or "::". */
    if ((check | agent) & CHECK_ENABLED || strcmp(service, "0") == 0 || strpbrk(host, "123456789abcdef") == NULL)
        return place;
    snprintf(server.name, sizeof server.name, "%s/%s", owner, name);
    snprintf(server.target, sizeof server.target, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, service);
    server.state = state == 0 ? SHAKER_STATE_DOWN : SHAKER_STATE_UP;
    /* One that has moved is another one: its old watch is forgotten with those that HAProxy has no more. */
    while (found < count
           && (strcmp(servers[found]->name, server.name) || strcmp(servers[found]->target, server.target)))
        found++;
    if (found == count)
        add(&server);
    if (found == count)
        return place;
    struct server *known = servers[found];
    servers[found] = servers[place];
    servers[place] = known;
    known->told = server.state;
    known->in_maintenance = administrative & ANY_MAINTENANCE;
    return place + 1;
}

static void read_servers(void)
{
    size_t place = 0;

    for (char *line = strtok(reply, "\n"); line != NULL; line = strtok(NULL, "\n"))
        place = read_server(line, place);
    while (count > place)
        forget(count - 1);
    next_reading = now_ms() + REREAD_MS;
}

/* Each command has one answer, in their order: what HAProxy did not like, and an empty line. */
static void read_refusals(void)
{
    char *answer = reply;

    for (size_t i = 0; i < count && *answer != '\0'; i++) {
        if (servers[i]->telling == SHAKER_STATE_UNKNOWN)
            continue;
        if (*answer != '\n' && !servers[i]->is_refused)
            fprintf(stderr, "haproxy_agent: %s: %.*s\n", servers[i]->name, (int)strcspn(answer, "\n"), answer);
        servers[i]->is_refused = *answer != '\n';
        servers[i]->told = servers[i]->telling; /* if it was refused, the next reading says otherwise */
        while (*answer != '\0' && *answer != '\n')
            answer = strchr(answer, '\n') + 1;
        answer += *answer == '\n';
    }
}

/* With a word why, HAProxy is asked again soon: it may be another one then, so first of all for its servers. */
static void end_exchange(const char *why)
{
    if (why != NULL && !out_of_touch)
        fprintf(stderr, "haproxy_agent: out of touch with HAProxy: %.999s\n", why);
    else if (why == NULL && out_of_touch)
        fputs("haproxy_agent: in touch with HAProxy\n", stderr);
    out_of_touch = why != NULL;
    if (out_of_touch) {
        next_try = now_ms() + RETRY_MS;
        next_reading = 0;
    }
    close(connection);
    connection = -1;
}

/* Asks for the servers if it is time, else says which of them HAProxy takes for something else, as many as fit. */
static void begin_exchange(void)
{
    is_reading = now_ms() >= next_reading;
    request_length = is_reading ? (size_t)snprintf(request, sizeof request, "show servers state %.199s;", backend) : 0;
    for (size_t i = 0; i < count && !is_reading; i++) {
        servers[i]->telling = SHAKER_STATE_UNKNOWN;
        if (servers[i]->in_maintenance || servers[i]->state == servers[i]->told)
            continue;
        size_t left = sizeof request - request_length;
        size_t length = (size_t)snprintf(request + request_length, left, "set server %s health %s;", servers[i]->name,
                                         STATES[servers[i]->state]);
        if (length >= left)
            continue; /* in the next exchange */
        request_length += length;
        servers[i]->telling = servers[i]->state;
    }
    if (request_length == 0)
        return;
    request[request_length - 1] = '\n';
    sent_length = reply_length = 0;
    deadline = now_ms() + TIME_LIMIT_MS;
    connection = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    /* EAGAIN: its queue is full, and of a local socket poll() does not tell when it is not. */
    if (connection < 0 || connect(connection, (struct sockaddr *)&haproxy, sizeof haproxy) != 0)
        end_exchange(strerror(errno));
}

static void continue_exchange(void)
{
    ssize_t length = send(connection, request + sent_length, request_length - sent_length, MSG_NOSIGNAL);

    sent_length += length > 0 ? (size_t)length : 0;
    do {
        if (reply_room < reply_length + 4096)
            reply = or_exit(realloc(reply, reply_room += reply_room + 8192));
        length = recv(connection, reply + reply_length, reply_room - reply_length - 1, 0);
        reply_length += length > 0 ? (size_t)length : 0;
    } while (length > 0 && reply_length <= LONGEST_REPLY);
    reply[reply_length] = '\0';
    if (length < 0 && errno == EAGAIN)
        return;
    if (length > 0 || strlen(reply) < reply_length) {
        end_exchange(length > 0 ? "an answer without an end" : "an answer that is no text");
        return;
    }
    /* An answer ends in an empty line, or HAProxy has ended in the middle of it. */
    bool is_whole = length == 0 && reply_length > 0 && reply[reply_length - 1] == '\n';
    if (is_reading && (strncmp(reply, "1\n", 2) != 0 || strcmp(reply + reply_length - 2, "\n\n") != 0))
        is_whole = false;
    if (is_whole && is_reading)
        read_servers();
    else if (is_whole)
        read_refusals();
    end_exchange(is_whole ? NULL : reply_length > 0 ? reply : "it ended");
}

static void take_changes(void)
{
    shaker_change change;

    while (shaker_monitor_reap(monitor, &change, 1, 0) > 0) {
        struct server *server = change.user_data;

        server->state = change.to;
        printf("%s (%s) is %s: %s\n", server->name, server->target, STATES[change.to],
               shaker_status_str(change.last.status));
    }
}

static void run_until_signal(int signals)
{
    struct pollfd fds[] = {{signals, POLLIN, 0}, {shaker_monitor_fd(monitor), POLLIN, 0}, {-1, 0, 0}};

    while (!fds[0].revents) {
        int64_t now = now_ms();
        if (connection >= 0 && now >= deadline)
            end_exchange("no answer in time");
        if (connection < 0 && now >= next_try)
            begin_exchange();
        int64_t wake = connection >= 0 ? deadline : next_try > next_reading ? next_try : next_reading;
        fds[2].fd = connection;
        fds[2].events = sent_length < request_length ? POLLIN | POLLOUT : POLLIN;
        if (poll(fds, 3, wake > now ? (int)(wake - now) : 0) <= 0)
            continue;
        if (fds[1].revents)
            take_changes();
        if (fds[2].revents)
            continue_exchange();
    }
}

/* Returns whether the text is a number of milliseconds that can be an interval. */
static bool read_interval(const char *text)
{
    char *end;
    unsigned long long ms = strtoull(text, &end, 10);

    interval = (uint32_t)ms;
    return *text >= '0' && *text <= '9' && *end == '\0' && ms >= 4 && ms <= UINT32_MAX;
}

int main(int argc, char **argv)
{
    shaker_config *config = shaker_config_new();
    shaker_checker *checker;
    shaker_stats stats;
    sigset_t ends;

    if (argc < 2 || argc > 4 || strlen(argv[1]) >= sizeof haproxy.sun_path || (argc > 2 && !read_interval(argv[2])))
        return fputs("usage: haproxy_agent SOCKET [INTERVAL_MS [BACKEND]]\n", stderr), 2;
    strcpy(haproxy.sun_path, argv[1]);
    backend = argc > 3 ? argv[3] : "";
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    int signals = signalfd(-1, &ends, SFD_CLOEXEC);
    /* Without a thread: the checks are made in the loop above. */
    shaker_config_set_caller_driven(config, true);
    if (signals < 0 || shaker_checker_new(config, &checker) != SHAKER_OK
        || shaker_monitor_new(checker, NULL, &monitor) != SHAKER_OK)
        return fputs("haproxy_agent: no monitor could be made\n", stderr), 1;
    shaker_config_free(config);
    setvbuf(stdout, NULL, _IOLBF, 0);
    run_until_signal(signals);
    shaker_checker_stats(checker, &stats, sizeof stats);
    printf("%" PRIu64 " checks, %" PRIu64 " up, %" PRIu64 " handshakes completed against our will\n", stats.submitted,
           stats.up, stats.completed_handshakes);
    shaker_monitor_free(monitor);
    shaker_checker_free(checker);
    return 0;
}
