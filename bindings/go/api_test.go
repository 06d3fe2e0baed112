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

func TestPollerFdIsThereWhileTheLoopRuns(t *testing.T) {
	checker, stop := started(t)
	if fd := checker.PollerFd(); fd <= 0 {
		t.Errorf("%d", fd)
	}
	stop()
	if fd := checker.PollerFd(); fd != -1 {
		t.Errorf("%d after the end", fd)
	}
}
