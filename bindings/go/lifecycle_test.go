//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func TestCheckerIsReadyWhileItsLoopRunsAndCanStartAgain(t *testing.T) {
	checker := tcp.NewChecker()
	target := listen(t, "tcp4", "127.0.0.1")
	for range 3 {
		ready := checker.WaitReady()
		select {
		case <-ready:
			t.Fatal("WaitReady is closed before the loop runs")
		default:
		}
		if err := checker.CheckAddr(target.addr, patience); err != tcp.ErrNotReady || checker.IsReady() || tcp.IsDown(err) {
			t.Fatalf("before the loop runs: %v, ready: %v", err, checker.IsReady())
		}
		stop := start(t, checker)
		<-ready
		if err := checker.CheckAddr(target.addr, patience); err != nil || !checker.IsReady() {
			t.Fatalf("while the loop runs: %v, ready: %v", err, checker.IsReady())
		}
		if err := checker.CheckingLoop(context.Background()); !errors.Is(err, tcp.ErrCheckerAlreadyStarted) {
			t.Fatalf("a second loop: %v", err)
		}
		stop()
	}
}

func TestPollerFdIsThereWhileTheLoopRuns(t *testing.T) {
	needsTheLibrary(t)
	checker, stop := started(t)
	if fd := checker.PollerFd(); fd <= 0 {
		t.Errorf("%d", fd)
	}
	stop()
	if fd := checker.PollerFd(); fd != -1 {
		t.Errorf("%d after the end", fd)
	}
}

func TestStopEndsChecksWithoutAVerdict(t *testing.T) {
	checker, stop := started(t)
	addr := silent(t)
	const checks = 300
	errs := make(chan error, checks)
	for i := range checks {
		go func() {
			errs <- checker.CheckAddrWithOptions(addr, tcp.DefaultOptions().WithTimeout(patience).WithMark(i%2))
		}()
	}
	time.Sleep(50 * time.Millisecond)
	stop()
	for range checks {
		if err := <-errs; tcp.IsDown(err) || err == nil {
			t.Fatalf("a check that was stopped says %v", err)
		}
	}
}

func TestLoopWithAnEndedContextReturnsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := tcp.NewChecker().CheckingLoop(ctx); err != nil {
		t.Error(err)
	}
}

func TestNilContextIsAnErrorBeforeAnythingStarts(t *testing.T) {
	checker := tcp.NewChecker()
	if err := checker.CheckingLoop(nil); err == nil || checker.IsReady() {
		t.Errorf("CheckingLoop: %v, ready: %v", err, checker.IsReady())
	}
	defer start(t, checker)()
	if _, err := checker.Check(nil, "127.0.0.1:80", tcp.DefaultOptions()); err == nil || tcp.IsDown(err) {
		t.Errorf("Check: %v", err)
	}
	if err := checker.CheckAddrContext(nil, "127.0.0.1:80"); err == nil || tcp.IsDown(err) {
		t.Errorf("CheckAddrContext: %v", err)
	}
}

func TestDefaultCheckerIsOneAndReady(t *testing.T) {
	var group sync.WaitGroup
	for range 20 {
		group.Add(1)
		go func() {
			defer group.Done()
			if checker := tcp.DefaultChecker(); checker != tcp.DefaultChecker() || !checker.IsReady() {
				t.Error("not the same, or not ready")
			}
		}()
	}
	group.Wait()
	<-tcp.DefaultChecker().WaitReady()
	target := listen(t, "tcp4", "127.0.0.1")
	if err := tcp.DefaultChecker().CheckAddr(target.addr, patience); err != nil {
		t.Error(err)
	}
}

func TestCancelledContextEndsTheCheckAtOnce(t *testing.T) {
	checker := running(t)
	addr := silent(t)
	const checks = 1000
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, checks)
	for range checks {
		go func() {
			_, err := checker.Check(ctx, addr, tcp.DefaultOptions().WithTimeout(time.Hour))
			errs <- err
		}()
	}
	time.Sleep(20 * time.Millisecond)
	cancel()
	for range checks {
		if err := <-errs; err != context.Canceled || tcp.IsDown(err) {
			t.Fatalf("cancelled, but: %v", err)
		}
	}
	if err := checker.CheckAddrContext(ctx, addr); err != context.Canceled {
		t.Errorf("cancelled before the check: %v", err)
	}
}

func TestCancelOfOneCheckLeavesOthersAlone(t *testing.T) {
	checker := running(t)
	addr := silent(t)
	other := make(chan error, 1)
	go func() { other <- checker.CheckAddr(addr, 500*time.Millisecond) }()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		time.Sleep(20 * time.Millisecond)
		cancel()
	}()
	if err := checker.CheckAddrContext(ctx, addr); err != context.Canceled {
		t.Error(err)
	}
	if err := <-other; err != tcp.ErrTimeout {
		t.Errorf("the other check: %v", err)
	}
}

func TestContextDeadlineIsTheTimeout(t *testing.T) {
	checker := running(t)
	addr := silent(t)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := checker.CheckAddrContext(ctx, addr)
	if err != tcp.ErrTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%T: %v", err, err)
	}
	if err := checker.CheckAddrContext(ctx, addr); err != context.DeadlineExceeded || tcp.IsDown(err) {
		t.Errorf("with nothing sent: %v", err)
	}
	target := listen(t, "tcp4", "127.0.0.1")
	if err := checker.CheckAddrContext(context.Background(), target.addr); err != nil {
		t.Errorf("without a deadline: %v", err)
	}
}

func TestNothingIsLeftAfterTheLoopEnds(t *testing.T) {
	target := listen(t, "tcp4", "127.0.0.1")
	once := func() {
		checker, stop := started(t)
		for mark := range 2 {
			opts := tcp.DefaultOptions().WithTimeout(patience).WithMark(mark)
			if err := checker.CheckAddrWithOptions(target.addr, opts); err != nil && tcp.IsDown(err) {
				t.Fatal(err)
			}
		}
		stop()
	}
	for range 50 {
		once()
	}
	runtime.GC()
	// The collector closes files that were forgotten, and would hide them.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	goroutines, descriptors, memory := runtime.NumGoroutine(), entries(t, "/proc/self/fd"), field(t, "VmData:")
	const rounds = 500
	for range rounds {
		once()
	}
	eventually(t, "goroutines", func() int { return runtime.NumGoroutine() - goroutines })
	eventually(t, "descriptors", func() int { return entries(t, "/proc/self/fd") - descriptors })
	// Heap and stacks, Go's and C's, in kB; a ring has over 100 kB.
	if grown := field(t, "VmData:") - memory; grown > rounds*50 {
		t.Errorf("%d rounds took %d kB", rounds, grown)
	}
}

func eventually(t *testing.T, what string, left func() int) {
	t.Helper()
	for end := time.Now().Add(patience); left() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d %s are left", left(), what)
		}
	}
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// field is a number of /proc/self/status.
func field(t testing.TB, name string) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(status), name)
	if !found {
		t.Fatalf("no %s in /proc/self/status", name)
	}
	number := 0
	for _, digit := range strings.TrimSpace(rest) {
		if digit < '0' || digit > '9' {
			break
		}
		number = number*10 + int(digit-'0')
	}
	return number
}
