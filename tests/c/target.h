/* Targets on loopback whose answer is known. */
#ifndef TARGET_H
#define TARGET_H

#include "expect.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

struct target {
  int fd;
  int filler; /* a connection that keeps a queue full; 0 where there is none */
  shaker_address address;
  socklen_t length;
  char text[80]; /* host:port */
};

static inline struct target bound(int family) {
  struct target target;
  memset(&target, 0, sizeof target);
  target.fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  NEED(target.fd >= 0);
  target.address.sa.sa_family = (sa_family_t)family;
  char ip[INET6_ADDRSTRLEN];
  if (family == AF_INET) {
    target.address.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.length = sizeof target.address.in;
  } else {
    target.address.in6.sin6_addr = in6addr_loopback;
    target.length = sizeof target.address.in6;
  }
  NEED(bind(target.fd, &target.address.sa, target.length) == 0);
  NEED(getsockname(target.fd, &target.address.sa, &target.length) == 0);
  if (family == AF_INET) {
    inet_ntop(family, &target.address.in.sin_addr, ip, sizeof ip);
    snprintf(target.text, sizeof target.text, "%s:%u", ip, ntohs(target.address.in.sin_port));
  } else {
    inet_ntop(family, &target.address.in6.sin6_addr, ip, sizeof ip);
    snprintf(target.text, sizeof target.text, "[%s]:%u", ip, ntohs(target.address.in6.sin6_port));
  }
  return target;
}

/* Whether checks keep the handshake from completing, and whether a reset socket serves the next one: the tests run with
 * libraries of either kind. */
static inline int withholds_ack(void) {
  return (shaker_capabilities() & SHAKER_CAN_HALF_OPEN) != 0;
}

static inline int reuses_sockets(void) {
  return (shaker_capabilities() & SHAKER_CAN_REUSE_SOCKET) != 0;
}

/* Answers every SYN. Nobody accepts: what arrives stays to be counted. */
static inline struct target live(int family) {
  struct target target = bound(family);
  NEED(listen(target.fd, 4096) == 0);
  return target;
}

/* Bound, so that nobody else takes the port, but never listening. */
static inline struct target dead(int family) {
  return bound(family);
}

/* Whether the queue of connections that wait to be accepted is full. Of a listener, TCP_INFO tells how long the queue
 * is and how long it may be (tcp_get_info); one more than that fits in (sk_acceptq_is_full). */
static inline int queue_is_full(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  NEED(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0);
  return info.tcpi_unacked > info.tcpi_sacked;
}

/* Never answers: the queue of established connections is full, so the kernel drops every SYN. */
static inline struct target silent(void) {
  struct target target = bound(AF_INET);
  NEED(listen(target.fd, 0) == 0);
  target.filler = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  NEED(target.filler >= 0 && connect(target.filler, &target.address.sa, target.length) == 0);
  UNTIL(queue_is_full(target.fd));
  return target;
}

static inline void close_target(struct target *target) {
  if (target->filler > 0) close(target->filler);
  close(target->fd);
}

/* How many connections wait to be accepted; takes them. */
static inline int accept_all(const struct target *target) {
  int count = 0;
  for (int fd; (fd = accept(target->fd, NULL, NULL)) >= 0; count++) close(fd);
  EXPECT_EQ(errno, EAGAIN);
  return count;
}

static inline shaker_request ask(const struct target *target, uint32_t timeout_ms) {
  shaker_request request = {0};
  request.addr = target->text;
  request.timeout_ms = timeout_ms;
  return request;
}

/* Has a kernel with IPv6, and loopback with ::1? */
static inline int has_ipv6(void) {
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 0;
  struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int has = bind(fd, (struct sockaddr *)&own, sizeof own) == 0;
  close(fd);
  return has;
}

#endif
