/* libtcpshaker: is a TCP port alive? Half a handshake tells: SYN, SYN-ACK, RST.
 *
 * The last ACK is never sent, so the server's application never sees the check: no accept(), no log line, no thread.
 *
 *     shaker_checker *checker;
 *     if (shaker_checker_new(NULL, &checker) != SHAKER_OK) return 1;
 *     shaker_status status = shaker_check_addr(checker, "example.com:443", 1000, NULL);
 *     printf("%s\n", status == SHAKER_OK ? "up" : status > 0 ? "down" : "don't know");
 *     shaker_checker_free(checker);
 *
 * The sign rule. 0 is up. Positive is down, and how. Negative is no verdict: nothing was learned about the target
 * (no descriptor, no port, no such name, cancelled ...), so nobody may mark it down.
 *
 * Threads. A checker is made to be shared: every function may be called from any thread at any time, but
 * shaker_checker_free, which wants the checker for itself. A shaker_config belongs to one thread at a time. const
 * on a checker means that the call changes nothing that another call could see. Callbacks run on the checker's own
 * thread, which blocks all signals but those of a fault (SIGSEGV, SIGBUS, ...), or in the calls that drive the checker
 * (shaker_config_set_caller_driven); they must not block it.
 *
 * Ways to ask. Blocking: shaker_check_addr, shaker_check_sockaddr, shaker_check, and shaker_check_many for lists.
 * Not blocking: shaker_submit, then a callback for each result, or shaker_reap, when shaker_checker_fd is readable.
 *
 * Monitors. shaker_monitor_new watches targets: it checks each again and again, and shaker_monitor_reap tells whose state
 * has changed, when shaker_monitor_fd is readable.
 *
 * Ownership. What _new returns is freed by the matching _free, a monitor before its checker; NULL is fine there. The library keeps
 * no pointer of the caller's after a call returns, but the user_data and callback of a submitted check. Texts it
 * returns are static. Structs may be zero-initialised; reserved fields must be 0. Outputs are written whole or not
 * at all.
 *
 * Promises. Every accepted check yields exactly one result. No function unwinds, exits, aborts, prints, installs a
 * signal handler or changes the process. After the last shaker_checker_free no thread and no descriptor of the
 * library is left, and it may be unloaded.
 *
 * Memory. Checks, and whatever else needs 4 KiB or more at once and cannot have them, are refused or end as
 * SHAKER_ERR_LOCAL (ENOMEM); what would only be kept for later is not kept. The one exception to the promises: where less
 * than that cannot be had, Rust's standard library prints a line and aborts the process.
 *
 * Fork. After fork() a checker belongs to the parent: the child's calls on it return SHAKER_ERR_FORKED, disturb
 * nothing there, and shaker_checker_free only releases memory. shaker_checker_default() in the child is a new one.
 * A child that is forked in a callback and returns from it ends with the thread: nothing but that thread is in it.
 *
 * Addresses. "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80", "example.com:80", "example.com:http", ":80" (this
 * host). Anything else is SHAKER_ERR_ADDRESS, with nothing sent. A host whose last label is a number is four decimal
 * numbers without leading zeros, or nothing: "127.1", "2130706433" and "010.0.0.1" are neither guessed at nor looked
 * up. An IPv4-mapped IPv6 address is IPv4. The addresses of a name are tried in the resolver's order, the next one as
 * soon as one fails or after 250 ms without an answer; the first SYN-ACK wins, and if none comes, the first address's
 * verdict is reported: but SHAKER_ERR_LOCAL or SHAKER_ERR_BUSY if this machine could not ask one of those whose turn it
 * was, which may be the one that is alive. A family that this machine lacks (EAFNOSUPPORT) counts only where there is no
 * other. At most 64 addresses of a name are tried.
 *
 * Platforms. Linux and Android withhold the ACK. Elsewhere the same calls make the ordinary handshake (connect, then
 * close with RST) and say so: shaker_capabilities lacks SHAKER_CAN_HALF_OPEN, and no result has SHAKER_HALF_OPEN. What
 * a platform cannot do is SHAKER_ERR_UNSUPPORTED. On Windows os_error is a Winsock code.
 *
 * Made by cbindgen from src/c_api/; not to be edited. */


#ifndef TCPSHAKER_H
#define TCPSHAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* struct sockaddr and its kin */
#ifdef _WIN32
#include <winsock2.h>
#include <ws2tcpip.h>
#else
#include <netinet/in.h>
#include <sys/socket.h>
#endif

// The version of this header, to be compared with shaker_version() of the library that was loaded.
#define SHAKER_VERSION_MAJOR 0

// See SHAKER_VERSION_MAJOR.
#define SHAKER_VERSION_MINOR 1

// See SHAKER_VERSION_MAJOR.
#define SHAKER_VERSION_PATCH 0

// shaker_capabilities: the kernel's last ACK can be withheld. Without it checks make the ordinary handshake.
#define SHAKER_CAN_HALF_OPEN 1

// shaker_capabilities: shaker_checker_fd gives a descriptor.
#define SHAKER_CAN_POLL_FD 2

// shaker_capabilities: one socket serves many checks.
#define SHAKER_CAN_REUSE_SOCKET 4

// shaker_capabilities: shaker_config_set_interface works.
#define SHAKER_CAN_BIND_INTERFACE 8

// shaker_capabilities: shaker_config_set_mark works, given the privilege.
#define SHAKER_CAN_MARK 16

// shaker_capabilities: shaker_config_set_tos works.
#define SHAKER_CAN_TOS 32

// shaker_capabilities: this process may open raw sockets now, as SHAKER_ENGINE_RAW does (CAP_NET_RAW, raw(7)).
#define SHAKER_CAN_RAW 64

// shaker_result.flags: proven on this very check that the kernel sent no ACK until the answer was seen, and none of
// its own accord until the reset a few microseconds later. Another segment that the peer sent in between (a doubled
// SYN-ACK, data before it had the ACK) may have drawn one; the flag does not tell.
#define SHAKER_HALF_OPEN 1

// shaker_result.flags: the SYN-ACK offered a window of 0, as SYN proxies do: somebody answers, and no byte of data
// may be sent yet. SHAKER_ENGINE_RAW alone sees it.
#define SHAKER_ZERO_WINDOW 2

// shaker_request.flags: let the last ACK out, as any ordinary client does, then close. Not on SHAKER_ENGINE_RAW.
#define SHAKER_FULL_HANDSHAKE 1

// shaker_request.flags: close with FIN instead of RST, so that the handshake completes. Not on SHAKER_ENGINE_RAW.
#define SHAKER_LINGER 2

// shaker_request.flags: IPv4 only, whatever the checker's own family is. Not together with SHAKER_IPV6.
#define SHAKER_IPV4 4

// shaker_request.flags: IPv6 only, whatever the checker's own family is. Not together with SHAKER_IPV4.
#define SHAKER_IPV6 8

// shaker_change.flags: shaker_monitor_report led to it, not a check.
#define SHAKER_CHANGE_REPORTED 1

// shaker_change.flags: changes of this watch between the one that was reaped before and this one were not reaped in
// time, and are gone.
#define SHAKER_CHANGE_SKIPPED 2

// The answer to a check, or the outcome of a call.
//
// 0: up. Positive: down, and how. Negative: no verdict; nothing was learned about the target, so nobody may mark
// it down. The numbers never change and are never reused; a program must expect ones it does not know, and go by
// their sign.
enum shaker_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // SYN-ACK came back. From any other function: success.
  SHAKER_OK = 0,
  // No answer before the deadline, or the kernel's own ETIMEDOUT.
  SHAKER_TIMEOUT = 1,
  // RST came back (ECONNREFUSED), or the socket met itself or another check's on this host (RFC 9293, 3.5:
  // simultaneous open), which means that nobody listens there.
  SHAKER_REFUSED = 2,
  // No way there: ENETUNREACH, EHOSTUNREACH, EHOSTDOWN, ENETDOWN, or ENOPROTOOPT (ICMP's "protocol unreachable").
  SHAKER_UNREACHABLE = 3,
  // Bad argument: NULL, an unknown flag, a reserved field that is not 0, a length or value that cannot be.
  SHAKER_ERR_INVALID = -1,
  // Not an address ("host:port" was expected), or one of a family that the check may not use.
  SHAKER_ERR_ADDRESS = -2,
  // The name could not be resolved, or not before the deadline, or so late (as in SHAKER_ERR_BUSY) that the silence
  // since says nothing. os_error is getaddrinfo's EAI_ code, EAI_AGAIN for the deadline; gai_strerror(3) has its text.
  SHAKER_ERR_RESOLVE = -3,
  // This machine could not make the check; os_error is the errno: EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL (no
  // port left, or no such source address), EACCES, EPERM, EAFNOSUPPORT, ENODEV ... On SHAKER_ENGINE_RAW also ENOBUFS
  // if this machine may have dropped the answer, and EADDRINUSE if the target told of nothing but the half-open
  // connection of an older check.
  SHAKER_ERR_LOCAL = -4,
  // Cancelled by shaker_cancel.
  SHAKER_ERR_CANCELLED = -5,
  // The checker was shut down.
  SHAKER_ERR_CLOSED = -6,
  // The checker belongs to the parent process.
  SHAKER_ERR_FORKED = -7,
  // A blocking call made from one of the checker's own callbacks.
  SHAKER_ERR_DEADLOCK = -8,
  // The deadline passed while the check still waited for its turn (max_in_flight, max_rate, a port to its target on
  // SHAKER_ENGINE_RAW, or descriptors: then os_error is EMFILE); or its turn came so late that there was no answer in
  // less than 300 ms, and in less than half of the check's time.
  SHAKER_ERR_BUSY = -9,
  // Not on this platform, or not with these privileges.
  SHAKER_ERR_UNSUPPORTED = -10,
  // A defect of the library; the process goes on.
  SHAKER_ERR_INTERNAL = -11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum shaker_status shaker_status;
#else
typedef int32_t shaker_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What puts a checker's segments on the wire: shaker_config_set_engine.
enum shaker_engine
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Sockets of the kernel's TCP, one for each SYN. Needs no privilege, and is the default.
  SHAKER_ENGINE_SOCKET = 0,
  // Segments that the library makes itself, on raw sockets. Needs CAP_NET_RAW; Linux and Android.
  SHAKER_ENGINE_RAW = 1,
  // SHAKER_ENGINE_RAW where this process may and the settings allow it, else SHAKER_ENGINE_SOCKET.
  SHAKER_ENGINE_AUTO = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum shaker_engine shaker_engine;
#else
typedef int32_t shaker_engine;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// What a monitor holds to be true of a target.
enum shaker_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // Too few verdicts yet.
  SHAKER_STATE_UNKNOWN = 0,
  // It answers.
  SHAKER_STATE_UP = 1,
  // It does not: it refuses, is silent, or cannot be reached.
  SHAKER_STATE_DOWN = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum shaker_state shaker_state;
#else
typedef int32_t shaker_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// Checks TCP ports. Opaque, thread-safe, and meant to be shared: one is enough for a process.
typedef struct shaker_checker shaker_checker;

// The settings of a checker. Opaque; belongs to one thread at a time.
//
// A checker copies its settings when it is made, so a configuration may be changed, used again or freed after that.
typedef struct shaker_config shaker_config;

// Checks targets again and again, and tells when the state of one changes. Opaque, thread-safe, and meant to be shared.
typedef struct shaker_monitor shaker_monitor;

// The settings of a monitor. Opaque; belongs to one thread at a time. A monitor copies them when it is made.
typedef struct shaker_monitor_config shaker_monitor_config;

// What a checker has done since it was made, and what it is doing. The struct may grow at its end.
typedef struct shaker_stats {
  // Checks accepted, blocking ones included.
  uint64_t submitted;
  // Results with SHAKER_OK.
  uint64_t up;
  // Results with SHAKER_TIMEOUT.
  uint64_t timed_out;
  // Results with SHAKER_REFUSED.
  uint64_t refused;
  // Results with SHAKER_UNREACHABLE.
  uint64_t unreachable;
  // Results with SHAKER_ERR_INVALID.
  uint64_t err_invalid;
  // Results with SHAKER_ERR_ADDRESS.
  uint64_t err_address;
  // Results with SHAKER_ERR_RESOLVE.
  uint64_t err_resolve;
  // Results with SHAKER_ERR_LOCAL.
  uint64_t err_local;
  // Results with SHAKER_ERR_CANCELLED.
  uint64_t err_cancelled;
  // Results with SHAKER_ERR_CLOSED.
  uint64_t err_closed;
  // Results with SHAKER_ERR_BUSY.
  uint64_t err_busy;
  // Results with SHAKER_ERR_UNSUPPORTED.
  uint64_t err_unsupported;
  // Results with SHAKER_ERR_INTERNAL.
  uint64_t err_internal;
  // Checks in flight now. Each holds a socket, but not on SHAKER_ENGINE_RAW.
  uint64_t in_flight;
  // Checks that wait now, for their turn or for their name.
  uint64_t queued;
  // Half-open checks whose target was up but whose last ACK the kernel sent of its own accord, or may have: at
  // most so many handshakes did it complete against our will. An ACK that another segment of the peer's drew
  // between the look and the reset (SHAKER_HALF_OPEN) is not among them. Always 0 on SHAKER_ENGINE_RAW.
  uint64_t completed_handshakes;
  // Sockets held now, idle ones included, and on SHAKER_ENGINE_RAW those that hold its ports.
  uint64_t sockets;
  // Segments that came to the ports of a raw engine (SHAKER_ENGINE_RAW) and answered no check: late ones, forged
  // ones, or such as other programs drew. None of them changes a verdict.
  uint64_t unsolicited;
} shaker_stats;

// A socket address; sa.sa_family says which member holds it, AF_UNSPEC that none does.
typedef union shaker_address {
  // The family, whichever member holds the address.
  struct sockaddr sa;
  // AF_INET.
  struct sockaddr_in in;
  // AF_INET6.
  struct sockaddr_in6 in6;
} shaker_address;

// What one check learned.
typedef struct shaker_result {
  // From shaker_submit; 0 for blocking checks.
  uint64_t id;
  // The request's own.
  void *user_data;
  // Up, down, or why there is no verdict.
  shaker_status status;
  // The errno (or EAI_ code, with SHAKER_ERR_RESOLVE) behind the status, on Windows Winsock's; 0 if there is none.
  int32_t os_error;
  // From SYN to SYN-ACK in microseconds, as the kernel measured it (tcpi_rtt, tcp(7); on SHAKER_ENGINE_RAW up to when
  // it received the answer, SO_TIMESTAMPNS), or where it does not tell as the library saw it; 0 unless SHAKER_OK.
  uint32_t rtt_us;
  // SYNs beyond the first: early ones (shaker_config_set_syn_interval), and those that the kernel sent again, where
  // it tells (Linux). rtt_us is that of the SYN which was answered.
  uint32_t syn_retransmits;
  // From submission to verdict, in microseconds; in shaker_check_many from the check's own start.
  uint64_t elapsed_us;
  // SHAKER_HALF_OPEN and SHAKER_ZERO_WINDOW, or-ed. A program must expect flags it does not know.
  uint32_t flags;
  // The address the verdict is about; family AF_UNSPEC if none was tried.
  union shaker_address address;
  // 0.
  uint64_t reserved;
} shaker_result;

// Receives the result of one submitted check, after the check's socket was reset: on a loop's thread, or, of a
// caller-driven checker, on the thread that drives it.
//
// It must not block: no other check of the loop goes on meanwhile, and answered ones complete their handshakes
// after 200 ms. It must return (no longjmp, no exception). It may submit, cancel, reap (which does not wait) and
// shut down; blocking calls on the same checker return SHAKER_ERR_DEADLOCK. The result is the library's, and valid
// until the callback returns.
typedef void (*shaker_callback)(const struct shaker_result *result, void *user_data);

// One check to make. Zero-initialise it, then name a target: addr, or sockaddr and sockaddr_len.
//
// The library reads it during the call only: the request and what it points to may be freed after that.
typedef struct shaker_request {
  // "host:port", or NULL and:
  const char *addr;
  // An IPv4 or IPv6 address with its port. Exactly one of addr and sockaddr must be given.
  const struct sockaddr *sockaddr;
  // The length of *sockaddr in bytes.
  socklen_t sockaddr_len;
  // From submission to verdict, resolving included, in milliseconds. 0: the checker's default.
  uint32_t timeout_ms;
  // SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4, SHAKER_IPV6.
  uint32_t flags;
  // Receives the result of a submitted check. NULL: the result goes to shaker_reap. Must be NULL in blocking calls.
  shaker_callback callback;
  // Comes back in the result, untouched.
  void *user_data;
  // The firewall mark of this one check (SO_MARK, socket(7)); 0: the checker's own. Needs CAP_NET_ADMIN, or since
  // Linux 5.17 CAP_NET_RAW: without it the check is SHAKER_ERR_UNSUPPORTED with EPERM, and nothing is sent. So it
  // is, with os_error 0, where sockets have no mark (SHAKER_CAN_MARK).
  uint32_t mark;
  // Must be 0.
  uint32_t reserved[3];
} shaker_request;

// A target to be checked again and again. Zero-initialise it, then name the target: addr, or sockaddr and sockaddr_len.
// 0 stands for a default, which is HAProxy's.
//
// The library reads it during the call only. Watches of one target that have the same settings share their checks.
typedef struct shaker_watch {
  // "host:port", or NULL where sockaddr has the target. A name is looked up anew for the first check, for one
  // after a check that was not up or a failure that was reported, and for one that was asked for
  // (shaker_monitor_check_now). Any other check takes the latest answer that was kept, if that is no older than
  // nine tenths of interval_ms, and than 30 s: getaddrinfo(3) tells nobody how long its answers hold. A name that
  // does not resolve is no verdict.
  const char *addr;
  // An IPv4 or IPv6 address with its port. Exactly one of addr and sockaddr must be given.
  const struct sockaddr *sockaddr;
  // The length of *sockaddr in bytes.
  socklen_t sockaddr_len;
  // As in shaker_request: SHAKER_FULL_HANDSHAKE, SHAKER_LINGER, SHAKER_IPV4, SHAKER_IPV6.
  uint32_t flags;
  // As in shaker_request.
  uint32_t mark;
  // For one check, resolving included, in milliseconds. 0: the checker's default.
  uint32_t timeout_ms;
  // From a verdict to the start of the next check, while up and well, in milliseconds. 0: 2000. After a check that
  // began late it is shorter by as much, at most by a tenth, so that many watches keep apart.
  uint32_t interval_ms;
  // The same while up, after a failure that was not the last straw. 0: interval_ms.
  uint32_t falling_ms;
  // The same while down or unknown, after a success that was not yet enough. 0: interval_ms.
  uint32_t rising_ms;
  // The same while down. 0: interval_ms.
  uint32_t down_ms;
  // How many failures in a row take it down. 0: 3.
  uint32_t fall;
  // How many successes in a row bring it up. 0: 2.
  uint32_t rise;
  // fall until the initial state was left or confirmed. 0: 1.
  uint32_t first_fall;
  // rise until the initial state was left or confirmed. 0: 1.
  uint32_t first_rise;
  // Each interval is longer or shorter by up to so many percent, by chance; at most 50.
  uint32_t jitter_percent;
  // A shaker_state: what holds before the first verdict.
  int32_t initial;
  // Comes back in each change, untouched.
  void *user_data;
  // Must be 0.
  uint64_t reserved[4];
} shaker_watch;

// What is known of a watch. The struct may grow at its end. After 4,294,967,295 its counters go on from 0.
typedef struct shaker_watch_info {
  // A shaker_state.
  int32_t state;
  // How many verdicts in a row agree with the latest.
  uint32_t run;
  // Since when it has been in this state, in microseconds of CLOCK_MONOTONIC.
  uint64_t since_us;
  // When the next check begins, on the same clock; 0 while one is in flight, or none is to be made.
  uint64_t next_us;
  // Checks that ended.
  uint64_t checks;
  // Verdicts that it is up, reports included.
  uint64_t up;
  // Verdicts that it is down, reports included.
  uint64_t down;
  // Checks that ended without a verdict.
  uint64_t no_verdict;
  // How often the state changed.
  uint64_t changes;
  // The latest round trip in microseconds; 0 before the first.
  uint32_t rtt_us;
  // Round trips in microseconds, smoothed as RFC 6298 does (SRTT).
  uint32_t rtt_smoothed_us;
  // How much they vary, by the same (RTTVAR).
  uint32_t rtt_variation_us;
  // 1 while it is paused, else 0.
  uint32_t paused;
  // What the latest check learned, as in shaker_change.
  struct shaker_result last;
} shaker_watch_info;

// The state of a watch has changed; or where every result is asked for, a check of it has ended.
typedef struct shaker_change {
  // The watch's, from shaker_monitor_add.
  uint64_t id;
  // The watch's own.
  void *user_data;
  // A shaker_state: the one before.
  int32_t from;
  // A shaker_state: the one after. The same only where every result is asked for
  // (shaker_monitor_config_set_every_result).
  int32_t to;
  // How many verdicts in a row led here.
  uint32_t run;
  // SHAKER_CHANGE_REPORTED and SHAKER_CHANGE_SKIPPED, or-ed. A program must expect flags it does not know.
  uint32_t flags;
  // When, in microseconds of CLOCK_MONOTONIC.
  uint64_t at_us;
  // What the latest check learned, with id 0 and the watch's user_data. Before the first check SHAKER_ERR_BUSY: its
  // turn has not come.
  struct shaker_result last;
  // 0.
  uint64_t reserved[2];
} shaker_change;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the library, as "0.1.0".
//
// Returns a static text, never NULL. Nothing is to be freed.
const char *shaker_version(void);

// What the library can do on this platform, and SHAKER_CAN_RAW in this process: each call opens a raw socket to see,
// and closes it.
//
// Returns SHAKER_CAN_HALF_OPEN, SHAKER_CAN_POLL_FD, SHAKER_CAN_REUSE_SOCKET, SHAKER_CAN_BIND_INTERFACE,
// SHAKER_CAN_MARK, SHAKER_CAN_TOS and SHAKER_CAN_RAW, or-ed, as far as they hold. A program must expect flags it does
// not know.
uint32_t shaker_capabilities(void);

// What a status means, in a few words of English.
//
// Returns a static text, never NULL, for any int: "unknown status" for a number that is none. Nothing is to be freed.
const char *shaker_status_str(shaker_status status);

// The name of a status as this header spells it, such as "SHAKER_REFUSED": for logs, metrics and bindings.
// shaker_status_str is for people.
//
// Returns a static text, never NULL, for any int: "SHAKER_UNKNOWN", which is no constant, for a number that is none.
// Nothing is to be freed.
const char *shaker_status_name(shaker_status status);

// Makes a configuration with every setting at its default.
//
// Returns it, to be freed with shaker_config_free; NULL only if the library is at fault.
struct shaker_config *shaker_config_new(void);

// Frees a configuration; NULL is fine. Checkers made from it are not affected.
void shaker_config_free(struct shaker_config *config);

// What puts a checker's segments on the wire, a shaker_engine. Default SHAKER_ENGINE_SOCKET.
//
// SHAKER_ENGINE_RAW needs CAP_NET_RAW (capabilities(7); root has it, and so have containers by default) when the
// checker is made: without it shaker_checker_new returns SHAKER_ERR_UNSUPPORTED. SHAKER_ENGINE_AUTO falls back to
// SHAKER_ENGINE_SOCKET then, and if shaker_config_set_zero_linger is false; shaker_checker_engine tells which it is,
// and SHAKER_CAN_RAW whether this process has the privilege now.
//
// On SHAKER_ENGINE_RAW no check holds a descriptor, so shaker_config_set_max_in_flight defaults to 262,144, and a
// million are a matter of memory. What each loop holds are ports, 64 while it is in use, and a descriptor for each: a
// port carries one check of one target (address and port) at a time, and any number of others. For more checks of one
// target at once it takes more, up to 1,024 or a quarter of the soft limit on descriptors; beyond that they wait.
//
// No handshake is ever completed on SHAKER_ENGINE_RAW, whatever becomes of this process: the kernel knows no
// connection, and resets each SYN-ACK by itself. So each result with SHAKER_OK has SHAKER_HALF_OPEN. A check with
// SHAKER_LINGER or SHAKER_FULL_HANDSHAKE, or after shaker_config_set_zero_linger with false, is
// SHAKER_ERR_UNSUPPORTED at once, and nothing is sent. While such a checker listens for answers, every TCP segment that
// reaches this host costs about 0.1 us more, whichever program it is for.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or a number that is no engine's; SHAKER_ERR_UNSUPPORTED for
// SHAKER_ENGINE_RAW elsewhere than on Linux and Android.
shaker_status shaker_config_set_engine(struct shaker_config *config, int32_t engine);

// How many loop threads share the checks. Default 1, which is enough for over a hundred thousand checks per
// second; 0 means one per CPU.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or more than 256.
shaker_status shaker_config_set_threads(struct shaker_config *config, uint32_t loops);

// The timeout, in milliseconds, of checks that name none (whose own timeout_ms is 0). Default 1000.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or 0.
shaker_status shaker_config_set_timeout(struct shaker_config *config, uint32_t timeout_ms);

// How many checks may be in flight at once; each holds a descriptor, and more checks wait their turn. The loops
// need two descriptors each besides, and a few sockets lie ready for blocking callers. Default: half the soft
// limit on descriptors (RLIMIT_NOFILE, getrlimit(2)) when the checker is made. On SHAKER_ENGINE_RAW a check holds no
// descriptor, and the default is 262,144.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or 0.
shaker_status shaker_config_set_max_in_flight(struct shaker_config *config, uint32_t checks);

// How many checks may start per second, over all loops; more wait their turn. A token bucket: after a pause at
// most 10 ms' worth start at once, and at least one. Default 0: no limit.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
shaker_status shaker_config_set_max_rate(struct shaker_config *config, uint32_t checks_per_second);

// How many names may be looked up at once, each on a thread of the library's own while it lasts; more wait their turn.
// Names that were slow of late have at most half of these places, so that they cannot keep others waiting. A lookup
// cannot be interrupted: those that no check waits for any more do not count, though never more than as many again.
// Default 64.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, 0 or more than 1024.
shaker_status shaker_config_set_max_lookups(struct shaker_config *config, uint32_t lookups);

// After how many milliseconds without an answer a check sends another SYN, from another port: at most four in all, and
// none that has no time left before the deadline. The first answer counts. Default 300, so that a target that answers
// is not called down for the loss of a few packets; a silent target costs up to four SYNs. 0: one SYN, and the
// kernel's own schedule, which sends it again after 1 s, 2 s, 4 s ... (tcp(7), tcp_syn_retries).
//
// Each SYN in flight holds a descriptor and counts as a check for shaker_config_set_max_in_flight and
// shaker_config_set_max_rate. An early SYN takes no other check's turn, and is given up for one that comes later: with
// a limit of 1 there is none. A list (shaker_check_many) holds at most three quarters of the limit by first SYNs, so
// that early ones find room. On SHAKER_ENGINE_RAW none of this holds, since another SYN holds nothing: it only pays the
// rate, after checks whose time runs. And while there is time left after the fourth, further ones follow it there on
// the kernel's schedule, as the kernel itself sends those of sockets again.
// A check whose SYNs could not leave before its deadline, as this program was late itself, has the time for them
// after it: at most three intervals.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
shaker_status shaker_config_set_syn_interval(struct shaker_config *config, uint32_t interval_ms);

// Whether the checker makes no loop thread, and gets on only inside the caller's own calls to it. Default false.
//
// shaker_reap and the blocking calls drive it, one caller at a time: a second waits until the first is done, or until
// it has what it waits for. shaker_submit and shaker_cancel may come from any thread. Callbacks run inside the calls
// that drive. shaker_checker_fd is readable when shaker_reap without a wait has anything to do: an answer, a deadline,
// a result. shaker_config_set_threads does not matter; a thread is made only when a name has to be looked up.
//
// An answered socket must be reset within 200 ms, or the kernel's ACK completes the handshake: drive the checker as
// soon as its descriptor is readable. A verdict that comes late is right all the same, lacks SHAKER_HALF_OPEN, and is
// counted in completed_handshakes. On SHAKER_ENGINE_RAW no ACK can leave, however late the checker is driven.
// It is driven in the network namespace that it was made in: on a thread that has moved into another one (setns(2)), a
// check that needs a new socket is SHAKER_ERR_LOCAL with EXDEV, from Linux 5.14 on, which can tell.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where there is no such descriptor (Linux and
// Android have it).
shaker_status shaker_config_set_caller_driven(struct shaker_config *config, bool on);

// Keeps all checks to one family: AF_INET or AF_INET6; AF_UNSPEC, the default, allows both. A check may still name
// its own (SHAKER_IPV4, SHAKER_IPV6).
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or another family.
shaker_status shaker_config_set_family(struct shaker_config *config, int family);

// Whether checks end with RST (true, the default) or with FIN (false), as if every check had SHAKER_LINGER. FIN
// carries the last ACK, so the handshake completes; SHAKER_ENGINE_RAW has none to send.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
shaker_status shaker_config_set_zero_linger(struct shaker_config *config, bool on);

// The source address of checks: an IPv4 or IPv6 address in text, copied. Each family may have one, set by a call
// of its own; a second call for the same family replaces it, and 0.0.0.0 and :: are none. An IPv4-mapped one is IPv4.
// An address that this machine does not have (yet) makes checks SHAKER_ERR_LOCAL with EADDRNOTAVAIL.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, a text that is no address, or one that nobody can have (multicast).
shaker_status shaker_config_set_source(struct shaker_config *config, const char *ip);

// The interface that checks leave through (SO_BINDTODEVICE, socket(7)), by name, copied. It need not exist yet;
// while it does not, checks are SHAKER_ERR_LOCAL with ENODEV.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or a name that no interface can have; SHAKER_ERR_UNSUPPORTED where
// sockets cannot be bound to an interface (SHAKER_CAN_BIND_INTERFACE).
shaker_status shaker_config_set_interface(struct shaker_config *config, const char *name);

// The network namespace that checks leave from and names are looked up in, by its path, such as "/run/netns/blue" or
// "/proc/4711/ns/net", copied. Only the checker's own threads are in it: nothing else of the process changes, and a
// check by a blocking call goes by those threads, too. Not together with shaker_config_set_caller_driven.
//
// shaker_checker_new opens it, once: from then on neither the path nor any privilege is needed. It returns
// SHAKER_ERR_UNSUPPORTED without the privilege (CAP_SYS_ADMIN here and there, setns(2)) or if the checker is
// caller-driven, and SHAKER_ERR_LOCAL if there is no network namespace at this path. Two things stay the process's
// own: the name of a zone ("%eth0") means an interface here, and which name servers are asked is what the process's
// resolv.conf(5) says.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or an empty text; SHAKER_ERR_LOCAL if there is no memory for it;
// SHAKER_ERR_UNSUPPORTED where there are no network namespaces: elsewhere than on Linux and Android.
shaker_status shaker_config_set_network_namespace(struct shaker_config *config, const char *path);

// The firewall mark of checks that name none (SO_MARK, socket(7)). Needs CAP_NET_ADMIN, or since Linux 5.17
// CAP_NET_RAW: without it shaker_checker_new returns SHAKER_ERR_UNSUPPORTED.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where sockets have no mark (SHAKER_CAN_MARK).
shaker_status shaker_config_set_mark(struct shaker_config *config, uint32_t mark);

// The type of service of checks: IP_TOS (ip(7)) and IPV6_TCLASS (ipv6(7)).
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL; SHAKER_ERR_UNSUPPORTED where it is not the program's to say
// (SHAKER_CAN_TOS): on Windows.
shaker_status shaker_config_set_tos(struct shaker_config *config, uint8_t tos);

// Makes a checker with these settings; NULL means the defaults. It is ready for use when this returns.
//
// Returns SHAKER_OK, and in *checker the checker, to be freed with shaker_checker_free. Otherwise *checker is
// NULL, and the status is SHAKER_ERR_INVALID (checker is NULL), SHAKER_ERR_LOCAL (no descriptors, threads or
// memory for the loops, or no network namespace at the path that was set) or SHAKER_ERR_UNSUPPORTED (a setting, such as
// SHAKER_ENGINE_RAW, needs privileges that this process does not have, or does not go together with another one).
shaker_status shaker_checker_new(const struct shaker_config *config, struct shaker_checker **checker);

// The checker of the process, made with default settings when first asked for. In a forked child it is a new one.
//
// Returns it; it is never freed (shaker_checker_free refuses it), and keeps the library loaded. NULL if there are
// no descriptors, threads or memory for it; a later call tries again.
struct shaker_checker *shaker_checker_default(void);

// Which engine a checker has, as it was decided when it was made (shaker_config_set_engine).
//
// Returns SHAKER_ENGINE_SOCKET or SHAKER_ENGINE_RAW; or a status, which is negative: SHAKER_ERR_INVALID for NULL,
// SHAKER_ERR_FORKED in a forked child.
int32_t shaker_checker_engine(const struct shaker_checker *checker);

// Shuts a checker down, from any thread, callbacks included: every check ends with SHAKER_ERR_CLOSED, every waiter
// wakes, and calls from now on return SHAKER_ERR_CLOSED. Results can still be reaped. Returns at once; NULL is
// fine.
void shaker_checker_shutdown(struct shaker_checker *checker);

// Shuts a checker down, waits for its threads, and frees it; NULL is fine. No other call on it may be under way or
// follow.
//
// The wait is short, but for a name that is being looked up: that takes until the name server answers, or for
// about as many seconds as the longest timeout of the checks that asked for it.
//
// Returns SHAKER_OK; SHAKER_ERR_DEADLOCK from one of the checker's own callbacks and SHAKER_ERR_INVALID for the
// default checker: then nothing was freed. In a forked child only the handle's memory is freed: whatever the
// parent's threads were at is theirs.
shaker_status shaker_checker_free(struct shaker_checker *checker);

// Reads a checker's counters. They are read one by one, while checks go on.
//
// size is sizeof *stats as the program knows it: fields that the library does not know are set to 0, and it writes
// no more than size bytes.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or size 0; SHAKER_ERR_FORKED in a forked child, with nothing written.
shaker_status shaker_checker_stats(const struct shaker_checker *checker, struct shaker_stats *stats, size_t size);

// A result as one line of English, such as "127.0.0.1:80 up, rtt 0.045 ms, half-open".
//
// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
//
// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
// text, if result is NULL.
size_t shaker_result_str(const struct shaker_result *result, char *buffer, size_t capacity);

// A result as shaker_result_str has it, and before it the target that was asked for, where it is not the address that
// was checked: "example.com:443: 192.0.2.7:443 refused after 0.210 ms". The target is shown whatever it holds, with ?
// for control characters and for what is no UTF-8. NULL: no target is shown.
//
// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
//
// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
// text, if result is NULL.
size_t shaker_result_describe(const struct shaker_result *result, const char *target, char *buffer, size_t capacity);

// What a result's os_error means, in the system's words: of an errno, of an EAI_ code with SHAKER_ERR_RESOLVE, on
// Windows of Winsock's. An empty text if it is 0.
//
// Writes up to capacity bytes, the closing NUL included, as snprintf(3) does; with capacity 0, buffer may be NULL.
//
// Returns how long the whole text is without its NUL: more than capacity - 1 means that it was cut. 0, and an empty
// text, if result is NULL.
size_t shaker_result_error_str(const struct shaker_result *result, char *buffer, size_t capacity);

// Checks one "host:port" and waits for the verdict, for timeout_ms milliseconds at most (0: the checker's default).
//
// Returns the verdict. SHAKER_ERR_INVALID if checker or addr is NULL; SHAKER_ERR_ADDRESS, with nothing sent, if addr
// is not "host:port". If result is not NULL, it is written whole, whatever is returned, and its status is what is
// returned.
shaker_status shaker_check_addr(struct shaker_checker *checker,
                                const char *addr,
                                uint32_t timeout_ms,
                                struct shaker_result *result);

// Checks one socket address, IPv4 or IPv6 with its port, and waits for the verdict, for timeout_ms milliseconds at
// most (0: the checker's default).
//
// Returns the verdict. SHAKER_ERR_INVALID if checker or sockaddr is NULL, or sockaddr_len cannot be the length of
// an address of its family; SHAKER_ERR_ADDRESS for another family or port 0. If result is not NULL, it is written
// whole, whatever is returned, and its status is what is returned.
shaker_status shaker_check_sockaddr(struct shaker_checker *checker,
                                    const struct sockaddr *sockaddr,
                                    socklen_t sockaddr_len,
                                    uint32_t timeout_ms,
                                    struct shaker_result *result);

// Makes one check as the request says, and waits for the verdict.
//
// Returns the verdict. SHAKER_ERR_INVALID if checker or request is NULL, if the request names no target or two,
// has an unknown flag, a reserved field that is not 0, a sockaddr_len that cannot be, or a callback. If result is
// not NULL, it is written whole, whatever is returned, and its status is what is returned.
shaker_status shaker_check(struct shaker_checker *checker,
                           const struct shaker_request *request,
                           struct shaker_result *result);

// Checks many targets and waits for all verdicts, in the order of the requests, whatever the order of the answers.
//
// It paces itself by the checker's limits: each check's time runs from its own start, so none ends as
// SHAKER_ERR_BUSY, and a million requests in one call are fine. results is an array of count results, and may be
// NULL if nobody wants them.
//
// Returns SHAKER_OK, with every result written; SHAKER_ERR_INVALID if checker is NULL, requests is NULL while count is
// not 0, or any request is invalid as in shaker_check; SHAKER_ERR_LOCAL if there is no memory to keep account of them;
// SHAKER_ERR_CLOSED, SHAKER_ERR_FORKED or SHAKER_ERR_DEADLOCK. Then nothing was sent, and no result written. SHAKER_ERR_INTERNAL, a defect of the library, may come with some of
// them written. A malformed address is that one check's own result.
shaker_status shaker_check_many(struct shaker_checker *checker,
                                const struct shaker_request *requests,
                                size_t count,
                                struct shaker_result *results);

// Submits checks and returns at once. Each one's result goes to its callback, or to shaker_reap.
//
// Each one's time runs from here, so a check whose turn has not come by its deadline (max_in_flight, max_rate, or a
// very long list) ends as SHAKER_ERR_BUSY; shaker_check_many is for lists that are to pace themselves.
//
// If ids is not NULL, it is an array of count, and receives each check's id: unique for the checker's life, never
// 0. A result may be there before this returns.
//
// Returns SHAKER_OK: every request was accepted, and each yields exactly one result; a malformed address is that
// one check's own. SHAKER_ERR_INVALID if checker is NULL, requests is NULL while count is not 0, or any request is
// invalid (as in shaker_check, but a callback is fine); SHAKER_ERR_LOCAL if there is no memory for all of them or the
// checker's thread cannot be woken; SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED. Then none was accepted, and ids is not
// written.
shaker_status shaker_submit(struct shaker_checker *checker,
                            const struct shaker_request *requests,
                            size_t count,
                            uint64_t *ids);

// Moves results of submitted checks into an array, waiting up to wait_ms milliseconds for the first: 0 does not
// wait, UINT32_MAX waits for ever. Several threads may reap at once; each result comes out once.
//
// Returns how many results were written, at most capacity. 0: none came in time, an argument was NULL, the checker
// was shut down and all its results were reaped, or it belongs to the parent process. From one of the checker's
// own callbacks it does not wait.
size_t shaker_reap(struct shaker_checker *checker, struct shaker_result *results, size_t capacity, uint32_t wait_ms);

// A descriptor that is readable exactly while results wait to be reaped (of a caller-driven checker: while shaker_reap
// has anything to do), for poll, epoll, select, io_uring and event loops over them; level- or edge-triggered (then
// reap until shaker_reap returns less than was asked for).
//
// Returns the descriptor, which stays the same, belongs to the checker, and is closed with it: never read, write
// or close it. -1 if checker is NULL, in a forked child, where the platform has none (SHAKER_CAN_POLL_FD), or if
// the process has none left, in which case a later call tries again.
int shaker_checker_fd(const struct shaker_checker *checker);

// Cancels the submitted check of this id; 0 cancels every check accepted before this call, blocking ones included.
//
// A cancelled check yields its one result, SHAKER_ERR_CANCELLED, unless its verdict is there already. Ids are
// never reused, so a late cancel hits no other check. It does not wait.
//
// Returns SHAKER_OK, also when no such check is under way; SHAKER_ERR_INVALID if checker is NULL; SHAKER_ERR_LOCAL if
// there is no memory for the call, or a sleeping thread of the checker cannot be woken: then some checks may not be
// cancelled, and a later call tries again; SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED.
shaker_status shaker_cancel(struct shaker_checker *checker, uint64_t id);

// Makes a configuration with every setting at its default.
//
// Returns it, to be freed with shaker_monitor_config_free; NULL only if the library is at fault.
struct shaker_monitor_config *shaker_monitor_config_new(void);

// Frees a configuration; NULL is fine. Monitors made from it are not affected.
void shaker_monitor_config_free(struct shaker_monitor_config *config);

// Within how many milliseconds the first check of a watch is made: the first checks of many are spread evenly over this
// time. Default: the interval of each watch; with jitter_percent some come later than that, by up to so many percent,
// as its intervals do. 0 makes them at once.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
shaker_status shaker_monitor_config_set_max_spread(struct shaker_monitor_config *config, uint32_t ms);

// Whether every result is told as a change, also one that changes nothing: from and to are the same then. Default false.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL.
shaker_status shaker_monitor_config_set_every_result(struct shaker_monitor_config *config,
                                                     bool on);

// How many percent of the watches may be down at once, or failing. While more would be, none of them goes down: it is
// more likely that this host has lost its network. What is held back so (shaker_monitor_held) is judged by the checks
// that begin once it is over, and no failure from before counts then. Default 100: any number may.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL or more than 100.
shaker_status shaker_monitor_config_set_max_down_percent(struct shaker_monitor_config *config, uint32_t percent);

// Makes a monitor of a checker, without any watch, with these settings; NULL means the defaults.
//
// It has one thread; on a caller-driven checker (shaker_config_set_caller_driven) none: there it gets on, as the checker
// does, inside shaker_monitor_reap, which is to be called when shaker_monitor_fd is readable, or every 200 ms. Whoever is
// later than that may have missed an answer: a check that timed out takes no target down if, while it was in flight, a call
// came more than 200 ms after this check was to end or another to begin, or none came for more than 450 ms.
//
// A checker may have several monitors beside its other checks, with which they share its limits
// (shaker_config_set_max_in_flight, shaker_config_set_max_rate).
//
// Returns SHAKER_OK, and in *monitor the monitor, to be freed with shaker_monitor_free before its checker. Otherwise
// *monitor is NULL, and the status is SHAKER_ERR_INVALID (checker or monitor is NULL), SHAKER_ERR_LOCAL (no thread or
// memory for it), SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED.
shaker_status shaker_monitor_new(struct shaker_checker *checker,
                                 const struct shaker_monitor_config *config,
                                 struct shaker_monitor **monitor);

// Ends a monitor's checks, waits for its thread, and frees it with the changes that wait; NULL is fine. No other call on
// it may be under way or follow. A monitor that is freed after its checker keeps what the checker holds until then, and
// callbacks of the checker may come until then. A check of a watch that has begun or waits for its turn ends in the
// checker, and nobody is told of it.
//
// Returns SHAKER_OK; SHAKER_ERR_DEADLOCK from one of the checker's own callbacks: then nothing was freed. In a forked
// child only the handle's memory is freed.
shaker_status shaker_monitor_free(struct shaker_monitor *monitor);

// Adds watches. Their first checks are spread (shaker_monitor_config_set_max_spread).
//
// If ids is not NULL, it is an array of count, and receives each watch's id: unique for the monitor's life, never 0.
//
// Returns SHAKER_OK: every watch was added. SHAKER_ERR_INVALID if monitor is NULL, watches is NULL while count is not 0,
// or any watch has no target or two, an unknown flag, a setting out of range, or reserved fields that are not 0;
// SHAKER_ERR_ADDRESS if the target of one is malformed; SHAKER_ERR_UNSUPPORTED for a flag that the engine cannot do
// (SHAKER_FULL_HANDSHAKE and SHAKER_LINGER on SHAKER_ENGINE_RAW); SHAKER_ERR_LOCAL without the memory;
// SHAKER_ERR_CLOSED or SHAKER_ERR_FORKED. Then none was added, and ids is not written.
shaker_status shaker_monitor_add(struct shaker_monitor *monitor,
                                 const struct shaker_watch *watches,
                                 size_t count,
                                 uint64_t *ids);

// Removes watches. No change of theirs comes out of a call of shaker_monitor_reap that begins afterwards.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL, ids is NULL while count is not 0, or one of the ids is no
// watch's: then the others are removed all the same; SHAKER_ERR_FORKED.
shaker_status shaker_monitor_remove(struct shaker_monitor *monitor, const uint64_t *ids, size_t count);

// Makes no checks of a watch (true), or goes on with them (false). Meanwhile it keeps its state, and can be reported.
//
// Returns SHAKER_OK, also if that is so already; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's;
// SHAKER_ERR_FORKED.
shaker_status shaker_monitor_pause(struct shaker_monitor *monitor, uint64_t id, bool paused);

// Has a check of a watch begin at once, or if one is in flight, when that has ended. Also of one that is paused.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's; SHAKER_ERR_CLOSED or
// SHAKER_ERR_FORKED.
shaker_status shaker_monitor_check_now(struct shaker_monitor *monitor, uint64_t id);

// Tells what the program's own traffic saw of a target: a request that was answered, a connection that was refused. It
// counts as one verdict. A change that it leads to has SHAKER_CHANGE_REPORTED.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID if monitor is NULL or the id is no watch's; SHAKER_ERR_LOCAL without memory for
// the change, and then it does not count; SHAKER_ERR_FORKED.
shaker_status shaker_monitor_report(struct shaker_monitor *monitor, uint64_t id, bool up);

// Reads what is known of a watch.
//
// size is sizeof *info as the program knows it: fields that the library does not know are set to 0, and it writes no
// more than size bytes.
//
// Returns SHAKER_OK; SHAKER_ERR_INVALID for NULL, size 0 or an id that is no watch's; SHAKER_ERR_FORKED. Then nothing
// was written.
shaker_status shaker_monitor_get(const struct shaker_monitor *monitor,
                                 uint64_t id,
                                 struct shaker_watch_info *info,
                                 size_t size);

// Moves changes into an array, waiting up to wait_ms milliseconds for the first: 0 does not wait, UINT32_MAX waits for
// ever. Several threads may reap at once; each change comes out once, those of one watch in their order.
//
// Of a watch that changes faster than it is reaped, two changes wait: the first that was not reaped, and the latest,
// which has SHAKER_CHANGE_SKIPPED if there were others in between.
//
// Returns how many changes were written, at most capacity. 0: none came in time, an argument was NULL, the checker was
// shut down and all changes were reaped, or it belongs to the parent process. From one of the checker's own callbacks it
// does not wait, nor with a capacity of 0.
size_t shaker_monitor_reap(struct shaker_monitor *monitor,
                           struct shaker_change *changes,
                           size_t capacity,
                           uint32_t wait_ms);

// A descriptor that is readable exactly while changes wait to be reaped (of a caller-driven checker: while
// shaker_monitor_reap has anything to do), for poll, epoll, select, io_uring and event loops over them; level- or
// edge-triggered (then reap until shaker_monitor_reap returns less than was asked for).
//
// Returns the descriptor, which stays the same, belongs to the monitor, and is closed with it: never read, write or close
// it. -1 if monitor is NULL, in a forked child, where the platform has none (SHAKER_CAN_POLL_FD), or if the process has
// none left or no memory, in which case a later call tries again.
int shaker_monitor_fd(const struct shaker_monitor *monitor);

// How many changes to SHAKER_STATE_DOWN were held back since the monitor was made, as this program was late itself, or too
// many watches would have been down (shaker_monitor_config_set_max_down_percent).
//
// Returns that number; 0 if monitor is NULL, and in a forked child.
uint64_t shaker_monitor_held(const struct shaker_monitor *monitor);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TCPSHAKER_H */
