/* What the library does on this platform, by every way there is to ask it.
 *
 *     probe LIVE DEAD SILENT LIVE6 half-open|unproven|ordinary
 *
 * Four targets on loopback, as address:port; the fourth is an IPv6 one. The last argument is what is expected of a live
 * target's handshake: its ACK withheld and the proof of it given, withheld but beyond proof, or the ordinary one.
 * Prints what it finds. Exit status: 0 if all is as it should be, 1 if not. C99, POSIX or Winsock.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tcpshaker.h"

#ifdef _WIN32
#define REFUSED WSAECONNREFUSED
#else
#include <netdb.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#define REFUSED ECONNREFUSED
#endif
#if defined __linux__ && defined STATIC
#include <unwind.h>
#endif

enum { BATCH = 100, PATIENCE_MS = 60000, SHORT_MS = 300 };

static int faults;
static int can_half_open, is_proven;

static void expect(int holds, const char *what)
{
    if (!holds) {
        printf("WRONG: %s\n", what);
        faults++;
    }
    fflush(stdout);
}

static void show(const char *how, const shaker_result *result)
{
    char text[256];
    shaker_result_str(result, text, sizeof text);
    printf("%s: %s [status %d, os_error %d, flags %u, rtt %u us, %u us in all]\n", how, text, (int)result->status,
           (int)result->os_error, (unsigned)result->flags, (unsigned)result->rtt_us, (unsigned)result->elapsed_us);
}

static void expect_up(const char *how, const shaker_result *result)
{
    show(how, result);
    expect(result->status == SHAKER_OK, "a live target is up");
    expect(result->os_error == 0, "and nothing failed");
    expect(result->rtt_us > 0, "its round trip took some time");
    expect(result->rtt_us <= result->elapsed_us + 1000, "and no more than the check");
    expect(!(result->flags & SHAKER_HALF_OPEN) == !is_proven, "SHAKER_HALF_OPEN is set where it is proven, only there");
}

static void expect_refused(const char *how, const shaker_result *result)
{
    show(how, result);
    expect(result->status == SHAKER_REFUSED, "a dead target refuses");
    expect(result->os_error == REFUSED, "and says so in the system's own words");
    expect(result->rtt_us == 0 && result->flags == 0, "and has neither a round trip nor flags");
}

static void expect_silence(const char *how, const shaker_result *result)
{
    show(how, result);
    expect(result->status == SHAKER_TIMEOUT, "a silent target times out");
    expect(result->elapsed_us >= SHORT_MS * 1000, "not before its time");
    expect(result->rtt_us == 0 && result->flags == 0, "and has neither a round trip nor flags");
}

/* Moves so many results to the array, waiting as programs of this platform do. */
static void reap(shaker_checker *checker, shaker_result *results, size_t count)
{
    size_t reaped = 0;
    while (reaped < count) {
        size_t more;
#ifndef _WIN32
        struct pollfd ready = {shaker_checker_fd(checker), POLLIN, 0};
        expect(ready.fd >= 0, "there is a descriptor to poll");
        expect(poll(&ready, 1, PATIENCE_MS) == 1, "the descriptor is readable in time");
        more = shaker_reap(checker, results + reaped, count - reaped, 0);
#else
        more = shaker_reap(checker, results + reaped, count - reaped, PATIENCE_MS);
#endif
        if (more == 0)
            break;
        reaped += more;
    }
    expect(reaped == count, "every submitted check yields a result");
#ifndef _WIN32
    struct pollfd quiet = {shaker_checker_fd(checker), POLLIN, 0};
    expect(poll(&quiet, 1, 0) == 0, "the descriptor is quiet when all are reaped");
#endif
}

static void check_blocking(shaker_checker *checker, char **targets)
{
    shaker_result result;
    shaker_check_addr(checker, targets[0], PATIENCE_MS, &result);
    expect_up("check live", &result);
    expect(result.address.sa.sa_family == AF_INET, "an IPv4 address comes back");
    shaker_check_addr(checker, targets[1], PATIENCE_MS, &result);
    expect_refused("check dead", &result);
    shaker_check_addr(checker, targets[2], SHORT_MS, &result);
    expect_silence("check silent", &result);

    shaker_check_addr(checker, targets[3], PATIENCE_MS, &result);
    expect_up("check IPv6", &result);
    expect(result.address.in6.sin6_family == AF_INET6, "an IPv6 address comes back");
    /* The very address that came back is a target. */
    shaker_check_sockaddr(checker, &result.address.sa, sizeof result.address.in6, PATIENCE_MS, &result);
    expect_up("check sockaddr", &result);

    expect(shaker_check_addr(checker, "nowhere", 0, &result) == SHAKER_ERR_ADDRESS, "an address needs a port");
    expect(shaker_check_addr(checker, NULL, 0, &result) == SHAKER_ERR_INVALID, "NULL is no address");
}

static void check_name(shaker_checker *checker, const char *live)
{
    char target[64];
    shaker_result result;
    snprintf(target, sizeof target, "localhost%s", strrchr(live, ':'));
    shaker_check_addr(checker, target, PATIENCE_MS, &result);
    expect_up("check a name", &result);
}

static void check_many(shaker_checker *checker, char **targets)
{
    static shaker_request requests[BATCH];
    static shaker_result results[BATCH];
    int up = 0, refused = 0;
    for (int i = 0; i < BATCH; i++) {
        requests[i].addr = targets[i % 2];
        requests[i].timeout_ms = PATIENCE_MS;
    }
    expect(shaker_check_many(checker, requests, BATCH, results) == SHAKER_OK, "a list is taken");
    for (int i = 0; i < BATCH; i++) {
        up += i % 2 == 0 && results[i].status == SHAKER_OK;
        refused += i % 2 == 1 && results[i].status == SHAKER_REFUSED;
    }
    printf("check a list: %d up, %d refused\n", up, refused);
    expect(up == BATCH / 2 && refused == BATCH / 2, "each result of a list is in its place");
}

static void submit(shaker_checker *checker, char **targets)
{
    shaker_request requests[3] = {{0}};
    shaker_result results[3], in_order[3] = {{0}};
    uint64_t ids[3];
    for (int i = 0; i < 3; i++) {
        requests[i].addr = targets[i];
        requests[i].timeout_ms = i == 2 ? SHORT_MS : PATIENCE_MS;
        requests[i].user_data = &requests[i];
    }
    expect(shaker_submit(checker, requests, 3, ids) == SHAKER_OK, "checks are accepted");
    reap(checker, results, 3);
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++)
            if (results[j].id == ids[i] && results[j].user_data == &requests[i])
                in_order[i] = results[j];
    expect_up("submit live", &in_order[0]);
    expect_refused("submit dead", &in_order[1]);
    expect_silence("submit silent", &in_order[2]);
}

struct call {
    shaker_checker *checker;
    const char *dead;
    shaker_result result;
    shaker_status blocking, submitting;
};

/* Tells the main thread by a check of its own, whose result that one reaps. */
static void called(const shaker_result *result, void *user_data)
{
    struct call *call = user_data;
    shaker_request request = {0};
    request.addr = call->dead;
    call->result = *result;
    call->blocking = shaker_check_addr(call->checker, call->dead, 0, NULL);
    call->submitting = shaker_submit(call->checker, &request, 1, NULL);
}

static void submit_with_callback(shaker_checker *checker, char **targets)
{
    static struct call call;
    shaker_request request = {0};
    shaker_result result = {0};
    call.checker = checker;
    call.dead = targets[1];
    request.addr = targets[0];
    request.timeout_ms = PATIENCE_MS;
    request.callback = called;
    request.user_data = &call;
    expect(shaker_submit(checker, &request, 1, NULL) == SHAKER_OK, "a check with a callback is accepted");
    reap(checker, &result, 1);
    expect_up("callback", &call.result);
    expect(call.blocking == SHAKER_ERR_DEADLOCK, "a callback may not block");
    expect(call.submitting == SHAKER_OK, "but submit");
    expect_refused("submitted by the callback", &result);
}

static void cancel(shaker_checker *checker, const char *silent)
{
    shaker_request request = {0};
    shaker_result result = {0};
    uint64_t id;
    request.addr = silent;
    request.timeout_ms = PATIENCE_MS;
    expect(shaker_submit(checker, &request, 1, &id) == SHAKER_OK, "a check is accepted");
    expect(shaker_cancel(checker, id) == SHAKER_OK, "and cancelled");
    reap(checker, &result, 1);
    show("cancel", &result);
    expect(result.id == id && result.status == SHAKER_ERR_CANCELLED, "a cancelled check says so");
}

static void set_what_may_be_missing(void)
{
    uint32_t capabilities = shaker_capabilities();
    shaker_config *config = shaker_config_new();
    int bound = shaker_config_set_interface(config, "lo"), tos = shaker_config_set_tos(config, 0x10);
    int mark = shaker_config_set_mark(config, 1);
    int raw = shaker_config_set_engine(config, SHAKER_ENGINE_RAW);
    printf("interface %d, mark %d, type of service %d, raw engine %d\n", bound, mark, tos, raw);
    expect(bound == (capabilities & SHAKER_CAN_BIND_INTERFACE ? SHAKER_OK : SHAKER_ERR_UNSUPPORTED),
           "an interface can be named where the capabilities say so");
    expect(mark == (capabilities & SHAKER_CAN_MARK ? SHAKER_OK : SHAKER_ERR_UNSUPPORTED), "and a mark");
    expect(tos == (capabilities & SHAKER_CAN_TOS ? SHAKER_OK : SHAKER_ERR_UNSUPPORTED), "and a type of service");
#ifdef __linux__
    expect(raw == SHAKER_OK, "and the raw engine");
#else
    expect(raw == SHAKER_ERR_UNSUPPORTED && !(capabilities & SHAKER_CAN_RAW), "and no raw engine");
#endif
    expect(shaker_config_set_engine(config, SHAKER_ENGINE_AUTO) == SHAKER_OK, "any system has an engine to choose");
    shaker_config_free(config);
}

/* From an address of its own choice, with FIN in the end, and without a wish to withhold anything. */
static void check_otherwise(const char *live6)
{
    shaker_config *config = shaker_config_new();
    shaker_checker *checker;
    shaker_request request = {0};
    shaker_result result;
    int was_proven = is_proven;
    expect(shaker_config_set_source(config, "::1") == SHAKER_OK, "a source address is taken");
    expect(shaker_checker_new(config, &checker) == SHAKER_OK, "and a checker made of it");
    shaker_config_free(config);
    shaker_check_addr(checker, live6, PATIENCE_MS, &result);
    expect_up("check from ::1", &result);
    request.addr = live6;
    request.timeout_ms = PATIENCE_MS;
    is_proven = 0;
    request.flags = SHAKER_FULL_HANDSHAKE;
    shaker_check(checker, &request, &result);
    expect_up("check with the full handshake", &result);
    request.flags = SHAKER_LINGER;
    shaker_check(checker, &request, &result);
    expect_up("check that lingers", &result);
    is_proven = was_proven;
    expect(shaker_checker_free(checker) == SHAKER_OK, "the checker is freed");
}

static void fork_in_use(shaker_checker *checker, const char *live)
{
#ifdef _WIN32
    (void)checker;
    (void)live;
#else
    int status = -1;
    pid_t child = fork();
    if (child == 0)
        _exit(shaker_check_addr(checker, live, 0, NULL) == SHAKER_ERR_FORKED ? 0 : 1);
    expect(child > 0 && waitpid(child, &status, 0) == child, "a child is born and ends");
    printf("a forked child ended with %d\n", status);
    expect(status == 0, "a forked child's check is SHAKER_ERR_FORKED");
#endif
}

static void count(const shaker_checker *checker)
{
    shaker_stats stats;
    expect(shaker_checker_stats(checker, &stats, sizeof stats) == SHAKER_OK, "there are counters");
    printf("%u checks: %u up, %u refused, %u timed out; %u handshakes completed, perhaps; %u in flight\n",
           (unsigned)stats.submitted, (unsigned)stats.up, (unsigned)stats.refused, (unsigned)stats.timed_out,
           (unsigned)stats.completed_handshakes, (unsigned)stats.in_flight);
    expect(stats.completed_handshakes == (is_proven ? 0 : stats.up), "what is not proven counts as completed");
    expect(stats.in_flight == 0 && stats.queued == 0, "nothing is left");
}

static void shut_down(shaker_checker *checker, const char *silent)
{
    shaker_request request = {0};
    shaker_result result = {0};
    request.addr = silent;
    request.timeout_ms = PATIENCE_MS;
    expect(shaker_submit(checker, &request, 1, NULL) == SHAKER_OK, "a check is accepted");
    shaker_checker_shutdown(checker);
    expect(shaker_reap(checker, &result, 1, PATIENCE_MS) == 1, "its result is there after a shutdown");
    show("shutdown", &result);
    expect(result.status == SHAKER_ERR_CLOSED, "a shutdown ends the checks");
    expect(shaker_check_addr(checker, silent, 0, NULL) == SHAKER_ERR_CLOSED, "and takes no more");
    expect(shaker_checker_free(checker) == SHAKER_OK, "a checker is freed");
    expect(shaker_checker_free(NULL) == SHAKER_OK, "and NULL is fine");
}

#if defined __linux__ && defined STATIC
static _Unwind_Reason_Code count_frame(struct _Unwind_Context *context, void *frames)
{
    (void)context;
    ++*(int *)frames;
    return _URC_NO_REASON;
}

/* The library catches what its own code throws. What unwinds finds its way by tables, which some C libraries do not show
 * it where it looks. */
static void unwind(void)
{
    int frames = 0;
    _Unwind_Backtrace(count_frame, &frames);
    expect(frames >= 2, "the unwinder finds who called");
}
#endif

int main(int argc, char **argv)
{
    shaker_checker *checker;
    shaker_status made;
    uint32_t capabilities = shaker_capabilities();

    if (argc != 6)
        return 2;
    is_proven = strcmp(argv[5], "half-open") == 0;
    can_half_open = strcmp(argv[5], "ordinary") != 0;
    printf("libtcpshaker %s, capabilities %u\n", shaker_version(), (unsigned)capabilities);
    expect(!(capabilities & SHAKER_CAN_HALF_OPEN) == !can_half_open, "SHAKER_CAN_HALF_OPEN is as expected");
#ifdef _WIN32
    expect(!(capabilities & SHAKER_CAN_POLL_FD), "Windows has no descriptor to poll");
#else
    expect(capabilities & SHAKER_CAN_POLL_FD, "POSIX has a descriptor to poll");
#endif
    made = shaker_checker_new(NULL, &checker);
    if (made != SHAKER_OK) {
        printf("WRONG: no checker: %s\n", shaker_status_str(made));
        return 1;
    }
#ifdef _WIN32
    expect(shaker_checker_fd(checker) == -1, "and says so");
#endif
    check_blocking(checker, argv + 1);
    check_name(checker, argv[1]);
    check_many(checker, argv + 1);
    submit(checker, argv + 1);
    submit_with_callback(checker, argv + 1);
    cancel(checker, argv[3]);
    set_what_may_be_missing();
    fork_in_use(checker, argv[1]);
    count(checker);
    check_otherwise(argv[4]);
    shut_down(checker, argv[3]);
#if defined __linux__ && defined STATIC
    unwind();
#endif
    printf("%d wrong\n", faults);
    return faults == 0 ? 0 : 1;
}
