/* The system's functions that the library calls, each behind one of the program's own that can be told to fail. The
 * dynamic linker takes a program's own function before the C library's, so libtcpshaker.so calls these.
 *
 * For each the errors that its man page lists. Left out are those that are an answer of the network to connect(2):
 * whoever invents such a one invents a verdict. */
#ifndef INTERPOSED_H
#define INTERPOSED_H

#include "expect.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <net/if.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

enum { ERRORS = 24 };

/* name, errors... */
#define FUNCTIONS(EACH)                                                                                             \
  EACH(socket, EACCES, EAFNOSUPPORT, EINVAL, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTONOSUPPORT, EPERM)               \
  EACH(bind, EACCES, EADDRINUSE, EBADF, EINVAL, ENOTSOCK, EADDRNOTAVAIL, EFAULT, ENOMEM, EPERM)                     \
  EACH(connect, EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EBADF, EFAULT, EINTR, EISCONN,      \
       ENOTSOCK, EPROTOTYPE, ENOBUFS, ENOMEM, EINVAL)                                                               \
  EACH(shutdown, EBADF, EINVAL, ENOTSOCK, ENOBUFS)                                                                  \
  EACH(getsockopt, EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, ENOMEM, EPERM)                                     \
  EACH(setsockopt, EBADF, EFAULT, EINVAL, ENOPROTOOPT, ENOTSOCK, EDOM, EISCONN, ENOMEM, ENOBUFS, EPERM)             \
  EACH(getsockname, EBADF, EFAULT, EINVAL, ENOBUFS, ENOTSOCK)                                                       \
  EACH(sendmmsg, EPERM, ENOBUFS, EACCES, EAGAIN, EBADF, ECONNRESET, EDESTADDRREQ, EFAULT, EINTR, EINVAL, EISCONN,   \
       EMSGSIZE, ENOMEM, ENOTCONN, ENOTSOCK, EOPNOTSUPP, EPIPE)                                                     \
  EACH(recvmmsg, ENOMEM, EINVAL, EAGAIN, EBADF, EFAULT, EINTR, ENOTCONN, ENOTSOCK)                                  \
  EACH(recvmsg, EAGAIN, EBADF, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK)                                   \
  EACH(epoll_create1, EINVAL, EMFILE, ENFILE, ENOMEM)                                                               \
  EACH(epoll_ctl, EBADF, EEXIST, EINVAL, ELOOP, ENOENT, ENOMEM, ENOSPC, EPERM)                                      \
  EACH(epoll_wait, EBADF, EFAULT, EINTR, EINVAL)                                                                    \
  EACH(poll, EFAULT, EINTR, EINVAL, ENOMEM)                                                                         \
  EACH(eventfd, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM)                                                             \
  EACH(timerfd_create, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, EPERM)                                               \
  EACH(timerfd_settime, EBADF, EFAULT, EINVAL)                                                                      \
  EACH(read, EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO)                                                             \
  EACH(write, EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EIO, ENOSPC, EPERM)                                             \
  EACH(close, EINTR, EIO, ENOSPC, EDQUOT)                                                                    \
  EACH(fcntl, EACCES, EAGAIN, EINVAL, EMFILE, EPERM)                                                         \
  EACH(open64, EACCES, EINTR, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM)                                         \
  EACH(fstat64, EACCES, EBADF, EFAULT, ENOMEM, EOVERFLOW)                                                           \
  EACH(statx, EACCES, EBADF, EFAULT, ENOENT, ENOMEM, ENOSYS)                                                        \
  EACH(setns, EBADF, EINVAL, ENOMEM, EPERM)                                                                         \
  EACH(getaddrinfo, EAI_AGAIN, EAI_BADFLAGS, EAI_FAIL, EAI_FAMILY, EAI_MEMORY, EAI_NONAME, EAI_SERVICE,             \
       EAI_SOCKTYPE, EAI_SYSTEM)                                                                                    \
  EACH(if_nametoindex, ENODEV, ENXIO, EMFILE)                                                                       \
  EACH(getrandom, EINTR, ENOSYS, EPERM)                                                            \
  EACH(getrlimit, EFAULT, EINVAL, EPERM)                                                                            \
  EACH(sched_getaffinity, EFAULT, EINVAL, EPERM, ESRCH)                                                             \
  EACH(sysconf, EINVAL)                                                                                             \
  EACH(pthread_create, EAGAIN, EINVAL, EPERM)                                                                       \
  EACH(pthread_attr_init, ENOMEM)                                                                                   \
  EACH(pthread_attr_setstacksize, EINVAL)                                                                           \
  EACH(pthread_setname_np, ERANGE)                                                                                  \
  EACH(pthread_sigmask, EFAULT, EINVAL)                                                                             \
  EACH(futex, EAGAIN, EINTR)

#define NUMBERED(name, ...) CALL_##name,
enum call { FUNCTIONS(NUMBERED) CALLS };

#define LISTED(name, ...) {#name, {__VA_ARGS__}},
static const struct {
  const char *name;
  int errors[ERRORS]; /* up to a 0 */
} known[CALLS] = {FUNCTIONS(LISTED)};

/* What is to fail: this call with this error, the so-manieth time or from that time on. */
static struct fault {
  int call, error, from, to;
} fault;
static atomic_int counting; /* whether calls are counted, and the fault is there */
static atomic_int calls[CALLS], failed;

static inline int fails(enum call call) {
  if (!counting) return 0;
  int number = ++calls[call];
  if ((int)call != fault.call || number < fault.from || number > fault.to) return 0;
  failed++;
  errno = fault.error;
  return 1;
}

#define REAL(name)                  \
  static __typeof__(&name) real;    \
  if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, #name)

#define INTERPOSE(type, name, parameters, arguments, failure) \
  type name parameters {                                      \
    REAL(name);                                               \
    if (fails(CALL_##name)) return failure;                   \
    return real arguments;                                    \
  }

INTERPOSE(int, socket, (int family, int type, int protocol), (family, type, protocol), -1)
INTERPOSE(int, bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length), -1)
INTERPOSE(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length), -1)
INTERPOSE(int, shutdown, (int fd, int how), (fd, how), -1)
INTERPOSE(int, getsockopt, (int fd, int level, int name, void *restrict value, socklen_t *restrict length),
          (fd, level, name, value, length), -1)
INTERPOSE(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t length),
          (fd, level, name, value, length), -1)
INTERPOSE(int, getsockname, (int fd, __SOCKADDR_ARG address, socklen_t *restrict length), (fd, address, length), -1)
INTERPOSE(int, sendmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags), (fd, messages, count, flags),
          -1)
INTERPOSE(int, recvmmsg, (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
          (fd, messages, count, flags, timeout), -1)
INTERPOSE(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), -1)
INTERPOSE(int, epoll_create1, (int flags), (flags), -1)
INTERPOSE(int, epoll_ctl, (int poller, int operation, int fd, struct epoll_event *event),
          (poller, operation, fd, event), -1)
INTERPOSE(int, epoll_wait, (int poller, struct epoll_event *events, int capacity, int wait_ms),
          (poller, events, capacity, wait_ms), -1)
INTERPOSE(int, poll, (struct pollfd * fds, nfds_t count, int wait_ms), (fds, count, wait_ms), -1)
INTERPOSE(int, eventfd, (unsigned value, int flags), (value, flags), -1)
INTERPOSE(int, timerfd_create, (int clock, int flags), (clock, flags), -1)
INTERPOSE(int, timerfd_settime, (int fd, int flags, const struct itimerspec *value, struct itimerspec *before),
          (fd, flags, value, before), -1)
INTERPOSE(ssize_t, read, (int fd, void *buffer, size_t size), (fd, buffer, size), -1)
INTERPOSE(ssize_t, write, (int fd, const void *buffer, size_t size), (fd, buffer, size), -1)
INTERPOSE(int, fstat64, (int fd, struct stat64 *stat), (fd, stat), -1)
INTERPOSE(int, statx, (int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict stat),
          (fd, path, flags, mask, stat), -1)
INTERPOSE(int, setns, (int fd, int kind), (fd, kind), -1)
INTERPOSE(int, getaddrinfo,
          (const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
           struct addrinfo **restrict found),
          (host, service, hints, found), fault.error)
INTERPOSE(unsigned, if_nametoindex, (const char *name), (name), 0)
INTERPOSE(ssize_t, getrandom, (void *buffer, size_t size, unsigned flags), (buffer, size, flags), -1)
INTERPOSE(int, getrlimit, (__rlimit_resource_t resource, struct rlimit *limit), (resource, limit), -1)
INTERPOSE(int, sched_getaffinity, (pid_t thread, size_t size, cpu_set_t *set), (thread, size, set), -1)
INTERPOSE(long, sysconf, (int name), (name), -1)
INTERPOSE(int, pthread_create,
          (pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*body)(void *),
           void *restrict argument),
          (thread, attributes, body, argument), fault.error)
INTERPOSE(int, pthread_attr_init, (pthread_attr_t * attributes), (attributes), fault.error)
INTERPOSE(int, pthread_attr_setstacksize, (pthread_attr_t * attributes, size_t size), (attributes, size), fault.error)
INTERPOSE(int, pthread_setname_np, (pthread_t thread, const char *name), (thread, name), fault.error)
INTERPOSE(int, pthread_sigmask, (int how, const sigset_t *restrict set, sigset_t *restrict before), (how, set, before),
          fault.error)

/* On Linux the descriptor is gone, whatever close(2) says. */
int close(int fd) {
  REAL(close);
  int result = real(fd);
  return fails(CALL_close) ? -1 : result;
}

int fcntl(int fd, int command, ...) {
  REAL(fcntl);
  va_list rest;
  va_start(rest, command);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  return fails(CALL_fcntl) ? -1 : real(fd, command, argument);
}

int open64(const char *path, int flags, ...) {
  REAL(open64);
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return fails(CALL_open64) ? -1 : real(path, flags, mode);
}

/* Rust's locks wait by futex(2), for which there is no function. To wake somebody cannot fail. */
long syscall(long number, ...) {
  REAL(syscall);
  va_list rest;
  va_start(rest, number);
  long arguments[6];
  for (int i = 0; i < 6; i++) arguments[i] = va_arg(rest, long);
  va_end(rest);
  int waits = number == SYS_futex && ((arguments[1] & 127) == FUTEX_WAIT || (arguments[1] & 127) == FUTEX_WAIT_BITSET);
  if (waits && fails(CALL_futex)) return -1;
  return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

#endif
