package tcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// ErrTimeout means that the target is down: no answer came in time. It is a [net.Error] whose Timeout is true, and
// also is [context.DeadlineExceeded] to [errors.Is].
var ErrTimeout = &noAnswer{text: "I/O timeout"}

// ErrCheckerAlreadyStarted is what CheckingLoop returns while another one runs on the same [Checker].
var ErrCheckerAlreadyStarted = errors.New("tcp: a CheckingLoop of this Checker is running already")

// ErrNotReady is no verdict: no CheckingLoop runs on the [Checker], or it ended before the verdict was there.
var ErrNotReady = errors.New("tcp: no CheckingLoop runs on this Checker")

// ErrBusy is no verdict: the time was over before the check's turn came, because too many others were in flight.
var ErrBusy = errors.New("tcp: the check's turn did not come in time")

var errNilContext = errors.New("tcp: nil Context")

// The text keeps the type from being empty: pointers to empty values may be equal to any other.
type noAnswer struct{ text string }

func (e *noAnswer) Error() string { return e.text }

func (e *noAnswer) Timeout() bool { return true }

func (e *noAnswer) Temporary() bool { return true }

// Is says that a context's deadline and this one are the same thing, as they are in package net.
func (e *noAnswer) Is(target error) bool { return target == context.DeadlineExceeded }

// ErrConnect means that the target is down: it refused, or there is no way there. It unwraps to the
// [syscall.Errno], as ECONNREFUSED or EHOSTUNREACH. Checks return a pointer; [errors.As] finds the value too.
type ErrConnect struct{ errno syscall.Errno }

func (e ErrConnect) Error() string { return e.errno.Error() }

func (e ErrConnect) Unwrap() error { return e.errno }

func (e ErrConnect) As(target any) bool {
	value, ok := target.(*ErrConnect)
	if ok {
		*value = e
	}
	return ok
}

// ErrLocal is no verdict: this machine could not make the check. It unwraps to the [syscall.Errno], as EMFILE (no
// descriptor left), EADDRNOTAVAIL (no port left) or EPERM (a firewall's, or a mark without CAP_NET_ADMIN), and reads
// as it does. Checks return a pointer; [errors.As] finds the value too.
type ErrLocal struct{ errno syscall.Errno }

func (e ErrLocal) Error() string { return e.errno.Error() }

func (e ErrLocal) Unwrap() error { return e.errno }

func (e ErrLocal) As(target any) bool {
	value, ok := target.(*ErrLocal)
	if ok {
		*value = e
	}
	return ok
}

// IsDown says whether an error of a check is a verdict: the target is down. It is false for nil, which means up, and
// for every error that means that nothing was learned about the target.
func IsDown(err error) bool {
	var connect *ErrConnect
	return errors.Is(err, ErrTimeout) || errors.As(err, &connect)
}

// verdict is the error that stands for a status; osError is the errno or EAI_ code behind it.
func verdict(status Status, osError int32, addr string) error {
	errno := syscall.Errno(osError)
	switch status {
	case StatusUp:
		return nil
	case StatusTimeout:
		return ErrTimeout
	case StatusAddress:
		return &net.AddrError{Err: status.String(), Addr: addr}
	case StatusClosed:
		return ErrNotReady
	case StatusBusy:
		if errno == 0 {
			return ErrBusy
		}
		return &ErrLocal{errno}
	case StatusLocal:
		return &ErrLocal{errno}
	case StatusUnsupported:
		if errno == 0 {
			errno = syscall.ENOTSUP // sockets have no mark on this platform, or the raw engine ends no check with FIN
		}
		return &ErrLocal{errno}
	}
	if status.Down() {
		if errno == 0 {
			// The socket met itself or another check's: nobody listens there.
			errno = syscall.ECONNREFUSED
		}
		return &ErrConnect{errno}
	}
	return fmt.Errorf("tcp: no verdict on %s: %v", addr, status)
}

// statusOf is the status for a check that never reached the library.
func statusOf(err error) Status {
	var malformed *net.AddrError
	var unresolved *net.DNSError
	switch {
	case err == context.Canceled:
		return StatusCancelled
	case err == ErrNotReady:
		return StatusClosed
	case errors.As(err, &malformed):
		return StatusAddress
	case errors.As(err, &unresolved):
		return StatusResolve
	}
	return StatusLocal
}
