//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// patience is ample for any machine where an answer is certain to come.
const patience = 30 * time.Second

// needsTheLibrary skips a test of what this package cannot do by itself.
func needsTheLibrary(t *testing.T) {
	t.Helper()
	if !tcp.SupportsHalfOpen() {
		t.Skip("this is for the library to do")
	}
}

// running makes a Checker whose loop runs until the test ends.
func running(t testing.TB) *tcp.Checker {
	t.Helper()
	checker, stop := started(t)
	t.Cleanup(stop)
	return checker
}

// started makes a Checker that is ready, and the function that stops it and waits for its end.
func started(t testing.TB) (*tcp.Checker, func()) {
	t.Helper()
	checker := tcp.NewChecker()
	return checker, start(t, checker)
}

func start(t testing.TB, checker *tcp.Checker) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- checker.CheckingLoop(ctx) }()
	select {
	case <-checker.WaitReady():
	case err := <-ended:
		t.Fatalf("CheckingLoop ended before it was ready: %v", err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("CheckingLoop ended with %v", err)
		}
	}
}

// live is a target that counts what its application sees.
type live struct {
	addr     string
	accepted atomic.Int64
	from     chan netip.AddrPort // who the first ones were
}

func listen(t testing.TB, network, host string) *live {
	t.Helper()
	listener, err := net.Listen(network, host+":0")
	if err != nil {
		t.Fatal(err)
	}
	target := &live{addr: listener.Addr().String(), from: make(chan netip.AddrPort, 8)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				// A connection that was reset in the queue counts too: the application was woken for it.
				target.accepted.Add(1)
				continue
			}
			target.accepted.Add(1)
			select {
			case target.from <- conn.RemoteAddr().(*net.TCPAddr).AddrPort():
			default:
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		<-done
	})
	return target
}

// dead is a port that refuses: it is bound, so nobody else can get it, but nobody listens.
func dead(t testing.TB) string {
	t.Helper()
	return address(t, bound(t, "127.0.0.1", 0))
}

// silent is a port that answers nothing: the queue of its listener is full, so the kernel drops every SYN.
func silent(t testing.TB) string {
	t.Helper()
	return silentAt(t, "127.0.0.1", 0)
}

func silentAt(t testing.TB, ip string, port uint16) string {
	t.Helper()
	fd := bound(t, ip, port)
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	addr := address(t, fd)
	for range 8 {
		conn, err := net.DialTimeout("tcp", addr, 300*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { conn.Close() })
	}
	t.Fatal("the listener's queue does not fill up")
	return ""
}

// bound is a socket that is bound to an address, which refuses while it does not listen.
func bound(t testing.TB, ip string, port uint16) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: netip.MustParseAddr(ip).As4(), Port: int(port)}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func address(t testing.TB, fd int) string {
	t.Helper()
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at := name.(*syscall.SockaddrInet4)
	return netip.AddrPortFrom(netip.AddrFrom4(at.Addr), uint16(at.Port)).String()
}
