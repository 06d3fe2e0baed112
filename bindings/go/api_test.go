package tcp_test

import (
	"context"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// The names and signatures that a program written for tcp-shaker compiles against: those of its main branch, and
// WithMark, which its options had before they were merged.
var (
	_ func() *tcp.Checker                                   = tcp.NewChecker
	_ func(bool) *tcp.Checker                               = tcp.NewCheckerZeroLinger
	_ func() *tcp.Checker                                   = tcp.DefaultChecker
	_ func() tcp.Options                                    = tcp.DefaultOptions
	_ func(*tcp.Checker, context.Context) error             = (*tcp.Checker).CheckingLoop
	_ func(*tcp.Checker) <-chan struct{}                    = (*tcp.Checker).WaitReady
	_ func(*tcp.Checker) bool                               = (*tcp.Checker).IsReady
	_ func(*tcp.Checker) int                                = (*tcp.Checker).PollerFd
	_ func(*tcp.Checker, string, time.Duration) error       = (*tcp.Checker).CheckAddr
	_ func(*tcp.Checker, string, time.Duration, bool) error = (*tcp.Checker).CheckAddrZeroLinger
	_ func(*tcp.Checker, string, tcp.Options) error         = (*tcp.Checker).CheckAddrWithOptions
	_ func(tcp.Options, time.Duration) tcp.Options          = tcp.Options.WithTimeout
	_ func(tcp.Options, string) tcp.Options                 = tcp.Options.WithNetwork
	_ func(tcp.Options, bool) tcp.Options                   = tcp.Options.WithZeroLinger
	_ func(tcp.Options, int) tcp.Options                    = tcp.Options.WithMark
	_ error                                                 = tcp.ErrTimeout
	_ error                                                 = tcp.ErrCheckerAlreadyStarted
	_ error                                                 = &tcp.ErrConnect{}
	_ error                                                 = tcp.ErrConnect{}
	_ interface {
		Timeout() bool
		Temporary() bool
	} = tcp.ErrTimeout
)

func TestOptionsAreValuesWithTheDefaultsOfTcpShaker(t *testing.T) {
	defaults := tcp.DefaultOptions()
	if (defaults != tcp.Options{Timeout: 3 * time.Second, Network: "tcp", ZeroLinger: true, Mark: 0}) {
		t.Errorf("%+v", defaults)
	}
	changed := defaults.WithTimeout(time.Second).WithNetwork("tcp6").WithZeroLinger(false).WithMark(7)
	if (changed != tcp.Options{Timeout: time.Second, Network: "tcp6", ZeroLinger: false, Mark: 7}) {
		t.Errorf("%+v", changed)
	}
	if defaults != tcp.DefaultOptions() {
		t.Error("the options were changed in place")
	}
}

// In words, as the library says it, with the library and without.
func TestStatusSaysWhatItMeans(t *testing.T) {
	for status, text := range map[tcp.Status]string{
		tcp.StatusUp: "up", tcp.StatusTimeout: "timed out", tcp.StatusRefused: "refused", tcp.StatusUnreachable: "unreachable",
		tcp.StatusInvalid: "bad argument: a NULL, an unknown flag, a reserved field that is not zero or a value out of range",
		tcp.StatusAddress: "not an address: expected host:port with a port from 1 to 65535, IPv6 as [address]:port, of an allowed family",
		tcp.StatusResolve: "name not resolved", tcp.StatusLocal: "this machine could not make the check",
		tcp.StatusCancelled: "cancelled", tcp.StatusClosed: "the checker was shut down",
		-7: "the checker belongs to the parent process", -8: "a blocking call from a callback of the same checker",
		tcp.StatusBusy:        "the deadline passed while the check waited for its turn",
		tcp.StatusUnsupported: "not on this platform, or not with these privileges",
		tcp.StatusInternal:    "internal error of libtcpshaker", 4: "unknown status", -12: "unknown status",
	} {
		if status.String() != text {
			t.Errorf("%d is %q, and not %q", status, status, text)
		}
	}
}
