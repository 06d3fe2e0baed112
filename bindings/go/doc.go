// Package tcp tells whether a TCP port is alive, by half a handshake: SYN, SYN-ACK, RST. The last ACK is never
// sent, so the server's application never sees the check. It stands on the C library libtcpshaker.
//
// Without the library (built with CGO_ENABLED=0 or -tags tcpshaker_go, or for a system that is not Linux) the API is the
// same, but checks make the ordinary handshake: [SupportsHalfOpen] tells. [EngineRaw], SynInterval and NetworkNamespace of
// the [Config], and outside Linux Interface and marks, are [*ErrLocal] with [syscall.ENOTSUP] then.
//
// Its API is that of github.com/tevino/tcp-shaker: a program moves over by changing its import line. Added to it
// are [Checker.CheckAddrContext], [Checker.Check] with its [Result], [NewCheckerWithConfig], [Checker.Stats], [IsDown],
// [SupportsHalfOpen] and [ErrNotReady].
//
// [Checker.Monitor] makes a [Monitor], which checks targets again and again and tells when the state of one changes.
//
// # Errors
//
// A nil error means up: a SYN-ACK came back. [ErrTimeout] and [*ErrConnect] mean down, and [IsDown] says so. Any
// other error is no verdict: nothing was learned about the target, so nobody should mark it down.
//
//	*net.AddrError, net.UnknownNetworkError  not an address, or not a network
//	*net.DNSError                            the name could not be resolved, or not in time
//	*ErrLocal                                this machine could not make the check; unwraps to syscall.Errno
//	ErrBusy                                  the check's turn did not come in time
//	ErrNotReady                              no CheckingLoop runs, or it ended before the verdict
//	context.Canceled                         the caller's context was cancelled
//
// What a [Monitor] refuses is [ErrMonitorClosed], [ErrNoWatch], an address that is none, or a setting that cannot be.
//
// # Goroutines and threads
//
// A check blocks its goroutine, and no thread. Package net looks names up. A check starts on the thread of its caller,
// where a target on this machine answers at once. One thread of the library goes on with all others of a [Checker],
// however many goroutines wait, and the runtime's poller tells the goroutine in [Checker.CheckingLoop] of their results. A
// [Monitor] has a thread of the library too; a loop over its changes blocks its goroutine only. Without the library each
// check in flight has a goroutine.
package tcp
