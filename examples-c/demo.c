/* The library at work, with no network: listeners of its own on IPv4 and IPv6, a dead port and a
 * name are checked, and accept() is asked whether it saw any of it.
 *
 * Exit status: 0 if every verdict was the expected one, 1 otherwise.
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tcpshaker.h"

struct port {
    int fd; /* -1: this machine has none of that family */
    uint16_t number;
};

/* Binds a port that the system picks, and listens only if asked to: a port that is bound and does
 * not listen refuses everybody, and no other program can take it meanwhile. */
static struct port open_port(int family, int listening)
{
    shaker_address address;
    socklen_t length = family == AF_INET6 ? sizeof address.in6 : sizeof address.in;
    struct port port;

    memset(&address, 0, sizeof address);
    address.sa.sa_family = (sa_family_t)family;
    if (family == AF_INET6)
        address.in6.sin6_addr = in6addr_loopback;
    else
        address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    port.fd = socket(family, SOCK_STREAM, 0);
    if (port.fd < 0 || bind(port.fd, &address.sa, length) != 0 || (listening && listen(port.fd, 16) != 0)
        || fcntl(port.fd, F_SETFL, O_NONBLOCK) != 0 || getsockname(port.fd, &address.sa, &length) != 0) {
        printf("  %s is left out: %s\n", family == AF_INET6 ? "IPv6" : "IPv4", strerror(errno));
        if (port.fd >= 0)
            close(port.fd);
        port.fd = -1;
    }
    /* sin_port and sin6_port share their place. */
    port.number = ntohs(address.in.sin_port);
    return port;
}

struct demo {
    shaker_checker *checker;
    int surprises;
    int all_proven; /* every half-open check that found its target up was proven so */
};

/* One check, one line. */
static void show(struct demo *demo, const char *what, const char *host, struct port port, uint32_t flags,
                 shaker_status expected)
{
    char target[64], verdict[256];
    shaker_request request = {0};
    shaker_result result;

    snprintf(target, sizeof target, "%s:%u", host, port.number);
    request.addr = target;
    request.timeout_ms = 2000;
    request.flags = flags;
    shaker_check(demo->checker, &request, &result);
    shaker_result_describe(&result, target, verdict, sizeof verdict);
    printf("  %-14s %s\n", what, verdict);

    if (flags == 0 && result.status == SHAKER_OK && !(result.flags & SHAKER_HALF_OPEN))
        demo->all_proven = 0;
    if (result.status != expected) {
        printf("  SURPRISE: expected %s\n", shaker_status_name(expected));
        demo->surprises++;
    }
}

/* How many connections the application behind this listener has seen. */
static int accepted(const char *what, struct port port)
{
    int count = 0, fd;

    while ((fd = accept(port.fd, NULL, NULL)) >= 0) {
        close(fd);
        count++;
    }
    printf("  %-14s accept() returned %d connection%s, then %s\n", what, count, count == 1 ? "" : "s",
           errno == EAGAIN || errno == EWOULDBLOCK ? "EAGAIN: nothing is waiting" : strerror(errno));
    return count;
}

int main(void)
{
    struct demo demo = {.all_proven = 1};
    struct port ipv4, ipv6, dead;
    int seen;

    printf("tcpshaker %s, checking listeners of this program's own:\n\n", shaker_version());
    ipv4 = open_port(AF_INET, 1);
    ipv6 = open_port(AF_INET6, 1);
    dead = open_port(AF_INET, 0);
    if (ipv4.fd < 0 || dead.fd < 0) {
        fputs("demo: it needs IPv4 on the loopback interface\n", stderr);
        return 1;
    }
    if (shaker_checker_new(NULL, &demo.checker) != SHAKER_OK) {
        fputs("demo: no checker could be made\n", stderr);
        return 1;
    }

    show(&demo, "IPv4 listener", "127.0.0.1", ipv4, 0, SHAKER_OK);
    if (ipv6.fd >= 0)
        show(&demo, "IPv6 listener", "[::1]", ipv6, 0, SHAKER_OK);
    show(&demo, "dead port", "127.0.0.1", dead, 0, SHAKER_REFUSED);
    show(&demo, "name", "localhost", ipv4, 0, SHAKER_OK);

    puts("\n  half-open: proven, on that very check, that the last ACK was never sent");
    puts("\nwhat the listeners saw of all that:\n");
    seen = accepted("IPv4 listener", ipv4);
    if (ipv6.fd >= 0)
        seen += accepted("IPv6 listener", ipv6);
    if (seen > 0 && demo.all_proven) {
        puts("  SURPRISE: every check was proven half-open, and still one was accepted");
        demo.surprises++;
    } else if (seen > 0) {
        puts(shaker_capabilities() & SHAKER_CAN_HALF_OPEN
                 ? "  (this machine was so busy that a check was held up for 200 ms, and said so)"
                 : "  (on this platform every check completes its handshake)");
    }

    puts("\nand of one full handshake, to show that accept() would have told:\n");
    show(&demo, "IPv4 listener", "127.0.0.1", ipv4, SHAKER_FULL_HANDSHAKE, SHAKER_OK);
    if (accepted("IPv4 listener", ipv4) != 1) {
        puts("  SURPRISE: exactly one connection was expected");
        demo.surprises++;
    }

    shaker_checker_free(demo.checker);
    close(ipv4.fd);
    close(dead.fd);
    if (ipv6.fd >= 0)
        close(ipv6.fd);
    printf("\n%s\n",
           demo.surprises == 0 ? "every verdict was the expected one" : "NOT every verdict was the expected one");
    return demo.surprises == 0 ? 0 : 1;
}
