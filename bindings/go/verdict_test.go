//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func TestLiveTargetIsUpOnEitherFamily(t *testing.T) {
	checker := running(t)
	for _, side := range []struct{ network, host string }{{"tcp4", "127.0.0.1"}, {"tcp6", "[::1]"}} {
		target := listen(t, side.network, side.host)
		if err := checker.CheckAddr(target.addr, patience); err != nil {
			t.Errorf("%s: %v", target.addr, err)
		}
		for _, network := range []string{"", "tcp", side.network} {
			opts := tcp.DefaultOptions().WithTimeout(patience).WithNetwork(network)
			result, err := checker.Check(context.Background(), target.addr, opts)
			if err != nil || !result.Status.Up() || result.Status.Down() || result.Address.String() != target.addr {
				t.Errorf("%s on %q: %+v, %v", target.addr, network, result, err)
			}
			if result.RTT <= 0 || result.Elapsed <= 0 {
				t.Errorf("%s took no time: %+v", target.addr, result)
			}
		}
	}
}

func TestDeadTargetIsErrConnectThatUnwrapsToErrno(t *testing.T) {
	checker := running(t)
	addr := dead(t)
	err := checker.CheckAddr(addr, patience)
	if _, ok := err.(*tcp.ErrConnect); !ok {
		t.Fatalf("%T: %v", err, err)
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno != syscall.ECONNREFUSED || err.Error() != errno.Error() {
		t.Errorf("unwraps to %v, and says %q", errno, err)
	}
	if !tcp.IsDown(err) {
		t.Error("a refusal is a verdict")
	}
	result, _ := checker.Check(context.Background(), addr, tcp.DefaultOptions().WithTimeout(patience))
	if result.Status != tcp.StatusRefused || !result.Status.Down() || result.Address.String() != addr {
		t.Errorf("%+v", result)
	}
}

func TestSilentTargetIsErrTimeoutAfterTheTimeout(t *testing.T) {
	checker := running(t)
	addr := silent(t)
	const timeout = 500 * time.Millisecond
	began := time.Now()
	err := checker.CheckAddr(addr, timeout)
	if err != tcp.ErrTimeout {
		t.Fatalf("%T: %v", err, err)
	}
	if took := time.Since(began); took < timeout {
		t.Errorf("gave up after %v", took)
	}
	var timed net.Error
	if !errors.As(err, &timed) || !timed.Timeout() || !os.IsTimeout(err) || !errors.Is(err, context.DeadlineExceeded) {
		t.Error("ErrTimeout is a timeout to everybody who asks")
	}
	if !tcp.IsDown(err) {
		t.Error("a timeout is a verdict")
	}
}

func TestCheckWithoutAnyTimeIsErrTimeoutWithNothingSent(t *testing.T) {
	checker, server := tcp.NewChecker(), serveNames(t, nil)
	t.Cleanup(start(t, checker))
	target := listen(t, "tcp4", "127.0.0.1")
	for _, none := range []time.Duration{0, -time.Second} {
		for _, addr := range []string{target.addr, "silent.test.:80"} {
			if err := checker.CheckAddr(addr, none); err != tcp.ErrTimeout {
				t.Errorf("%s within %v: %v", addr, none, err)
			}
		}
	}
	if err := checker.CheckAddr(silent(t), time.Nanosecond); err != tcp.ErrTimeout && err != tcp.ErrBusy {
		t.Errorf("within a nanosecond: %v", err)
	}
	if seen := accepted(t, target); seen != 0 || server.asked.Load() != 0 {
		t.Errorf("the target saw %d checks, and the resolver was asked %d times", seen, server.asked.Load())
	}
}

func TestErrorsOfAVerdictAreFoundByValueToo(t *testing.T) {
	err := running(t).CheckAddr(dead(t), patience)
	var connect tcp.ErrConnect
	if !errors.As(err, &connect) || connect.Error() != syscall.ECONNREFUSED.Error() {
		t.Errorf("%v, and not %v", connect, err)
	}
	var local tcp.ErrLocal
	if errors.As(err, &local) {
		t.Error("a refusal is no fault of this machine")
	}
}

func TestUnroutableTargetIsErrConnect(t *testing.T) {
	// The kernel has no route to an address of the class-E broadcast.
	err := running(t).CheckAddr("255.255.255.255:80", patience)
	var errno syscall.Errno
	if !errors.As(err, &errno) || errno != syscall.ENETUNREACH && errno != syscall.EACCES {
		t.Errorf("%T: %v", err, err)
	}
}

func TestLocalFaultIsNeverDown(t *testing.T) {
	checker := running(t)
	target := listen(t, "tcp4", "127.0.0.1")
	var before, none syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	none = before
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err := checker.CheckAddr(target.addr, time.Second)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	loop := tcp.NewChecker().CheckingLoop(ended)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var local *tcp.ErrLocal
	var value tcp.ErrLocal
	if !errors.As(err, &local) || !errors.As(err, &value) || !errors.Is(err, syscall.EMFILE) || tcp.IsDown(err) {
		t.Errorf("without descriptors a check is %T: %v", err, err)
	}
	if !errors.As(loop, &local) && tcp.SupportsHalfOpen() {
		t.Errorf("without descriptors CheckingLoop returns %T: %v", loop, loop)
	}
	if err := checker.CheckAddr(target.addr, patience); err != nil {
		t.Errorf("with descriptors again: %v", err)
	}
}

func TestApplicationNeverSeesAHalfOpenCheck(t *testing.T) {
	needsTheLibrary(t)
	checker := running(t)
	target := listen(t, "tcp4", "127.0.0.1")
	opts := tcp.DefaultOptions().WithTimeout(patience)
	const checks = 500
	halfOpen := int64(0)
	for range checks {
		result, err := checker.Check(context.Background(), target.addr, opts)
		if err != nil {
			t.Fatal(err)
		}
		if result.HalfOpen {
			halfOpen++
		}
	}
	if halfOpen == 0 {
		t.Fatal("not one check was half-open")
	}
	seen := accepted(t, target)
	if seen > checks-halfOpen {
		t.Errorf("%d of %d checks were half-open, but the application saw %d", halfOpen, checks, seen)
	}

	if err := checker.CheckAddrZeroLinger(target.addr, patience, false); err != nil {
		t.Fatal(err)
	}
	if now := accepted(t, target); now != seen+1 {
		t.Errorf("a check that ends with FIN is an accept, but there were %d", now-seen)
	}
}

// accepted is how many connections the application has seen. A connection of the test's own is behind all others in
// the queue.
func accepted(t *testing.T, target *live) int64 {
	t.Helper()
	conn, err := net.Dial("tcp", target.addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Read(make([]byte, 1))
	conn.Close()
	return target.accepted.Add(-1)
}
