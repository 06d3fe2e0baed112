//go:build linux && (!cgo || tcpshaker_go)

package tcp_test

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func TestWithoutTheLibraryTheApplicationSeesEachCheckAndNoResultSaysHalfOpen(t *testing.T) {
	if tcp.SupportsHalfOpen() {
		t.Fatal("half-open, without the library")
	}
	checker, target := running(t), listen(t, "tcp4", "127.0.0.1")
	const checks = 20
	for range checks {
		result, err := checker.Check(context.Background(), target.addr, patient())
		if err != nil || result.HalfOpen {
			t.Errorf("%+v, %v", result, err)
		}
	}
	if seen := accepted(t, target); seen != checks {
		t.Errorf("the target saw %d of %d checks", seen, checks)
	}
	if fd := checker.PollerFd(); fd != -1 {
		t.Errorf("a poller: %d", fd)
	}
	if stats := checker.Stats(); stats.Up != checks || stats.CompletedHandshakes != 0 || stats.Sockets != 0 {
		t.Errorf("%+v", stats)
	}
}

func TestWithoutTheLibraryChecksEndWithRstOrWhereTheyAreToWithFin(t *testing.T) {
	checker := running(t)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for _, zeroLinger := range []bool{true, false} {
		if err := checker.CheckAddrZeroLinger(listener.Addr().String(), patience, zeroLinger); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
		if zeroLinger != errors.Is(err, syscall.ECONNRESET) || zeroLinger == (err == io.EOF) {
			t.Errorf("zero linger %v ends with: %v", zeroLinger, err)
		}
	}
}

func TestWithoutTheLibraryWhatItAloneCanDoIsNotSupported(t *testing.T) {
	isUnsupported := func(err error) bool {
		var local *tcp.ErrLocal
		return errors.As(err, &local) && errors.Is(err, syscall.ENOTSUP) && !tcp.IsDown(err)
	}
	for setting, config := range map[string]tcp.Config{
		"SynInterval":      {SynInterval: time.Second},
		"NetworkNamespace": {NetworkNamespace: "/proc/self/ns/net"},
	} {
		if checker, err := tcp.NewCheckerWithConfig(config); checker != nil || !isUnsupported(err) {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if _, err := tcp.NewCheckerWithConfig(tcp.Config{SynInterval: -1}); err != nil {
		t.Errorf("the kernel's own interval: %v", err)
	}
	if _, err := looped(t, tcp.Config{Engine: tcp.EngineRaw}); !isUnsupported(err) {
		t.Errorf("the raw engine: %v", err)
	}
}

func TestWithoutTheLibraryWatchesOfOneMonitorAreHeldBackTogether(t *testing.T) {
	checker, addr := running(t), dead(t)
	monitor, err := checker.Monitor(tcp.MonitorConfig{MaxSpread: -1, MaxDownPercent: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	watch := tcp.Watch{Addr: addr, Interval: 5 * time.Millisecond, Timeout: patience, Initial: tcp.StateUp}
	ids, err := monitor.Add(watch, watch, watch, watch)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "held changes", func() int { return 10 - int(monitor.Held()) })
	down := 0
	for _, id := range ids {
		if info, _ := monitor.Get(id); info.State == tcp.StateDown {
			down++
		}
	}
	if down > 2 {
		t.Errorf("%d of 4 watches are down, and not half at most", down)
	}
}

func TestWithoutTheLibraryFailuresMadeWhileTooManyFailedDoNotCountAfterwards(t *testing.T) {
	monitor, err := running(t).Monitor(tcp.MonitorConfig{MaxDownPercent: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	// No check is made: what happens to them, the reports tell.
	watch := tcp.Watch{Addr: "127.0.0.1:1", Interval: time.Hour, Initial: tcp.StateUp, FirstFall: 3}
	ids, err := monitor.Add(watch, watch, watch, watch)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		monitor.Pause(id, true)
	}
	failures := func(count int, ids ...uint64) {
		for range count {
			for _, id := range ids {
				monitor.Report(id, false)
			}
		}
	}
	failures(2, ids...)
	failures(3, ids[0])
	for _, id := range ids[1:] {
		monitor.Report(id, true)
	}
	for count, expected := range []tcp.State{tcp.StateUp, tcp.StateUp, tcp.StateDown} {
		failures(1, ids[0])
		if info, _ := monitor.Get(ids[0]); info.State != expected || int(info.Run) != count+1 {
			t.Errorf("%v after %d failures, counted as %d", info.State, count+1, info.Run)
		}
	}
	if monitor.Held() != 1 {
		t.Errorf("%d changes were held back", monitor.Held())
	}
}

func TestWithoutTheLibraryAPausedWatchIsCheckedOnlyWhenAsked(t *testing.T) {
	checker, target := running(t), listen(t, "tcp4", "127.0.0.1")
	monitor, err := checker.Monitor(tcp.MonitorConfig{MaxSpread: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	ids, err := monitor.Add(tcp.Watch{Addr: target.addr, Interval: 10 * time.Millisecond, Timeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	checks := func() int {
		info, _ := monitor.Get(ids[0])
		return int(info.Checks)
	}
	eventually(t, "checks", func() int { return 5 - checks() })
	monitor.Pause(ids[0], true)
	before := checks()
	time.Sleep(100 * time.Millisecond)
	if more := checks() - before; more != 0 {
		t.Errorf("%d checks of a paused watch", more)
	}
	monitor.CheckNow(ids[0])
	eventually(t, "the check that was asked for", func() int { return before + 1 - checks() })
	monitor.Pause(ids[0], false)
	eventually(t, "checks", func() int { return before + 5 - checks() })
}

func TestWithoutTheLibraryALiveTargetIsNeverDownForThisProgramBeingLate(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	checker, target := running(t), listen(t, "tcp4", "127.0.0.1")
	defer close(busy(8))
	for range 5 {
		var checks sync.WaitGroup
		for range 50 {
			checks.Add(1)
			go func() {
				defer checks.Done()
				if err := checker.CheckAddr(target.addr, 20*time.Millisecond); tcp.IsDown(err) {
					t.Errorf("down: %v", err)
				}
			}()
		}
		checks.Wait()
		accepted(t, target)
	}
}

// busy keeps this program from its work, with so many goroutines, until the channel is closed.
func busy(goroutines int) chan struct{} {
	end := make(chan struct{})
	for range goroutines {
		go func() {
			for {
				select {
				case <-end:
					return
				default:
				}
			}
		}()
	}
	return end
}
