//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// mayOpenRawSockets says whether this process has CAP_NET_RAW.
func mayOpenRawSockets() bool {
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_RAW, syscall.IPPROTO_TCP)
	if err != nil {
		return false
	}
	syscall.Close(socket)
	return true
}

// looped runs a checker's loop until the test ends, unless the loop will not begin: then it says why.
func looped(t *testing.T, config tcp.Config) (*tcp.Checker, error) {
	t.Helper()
	checker, err := tcp.NewCheckerWithConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- checker.CheckingLoop(ctx) }()
	select {
	case <-checker.WaitReady():
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return checker, nil
	case err := <-ended:
		cancel()
		return checker, err
	}
}

func TestEngineIsThatOfTheLoopOrElseOfTheConfig(t *testing.T) {
	checker, err := tcp.NewCheckerWithConfig(tcp.Config{Engine: tcp.EngineAuto})
	if err != nil || checker.Engine() != tcp.EngineAuto || checker.Engine().String() != "auto" {
		t.Errorf("%v, %v", checker.Engine(), err)
	}
	if engine := running(t).Engine(); engine != tcp.EngineSocket || engine.String() != "socket" {
		t.Error(engine)
	}
	target := listen(t, "tcp4", "127.0.0.1")
	linger := configured(t, tcp.Config{Engine: tcp.EngineAuto, Linger: true})
	if err := linger.CheckAddr(target.addr, patience); err != nil || linger.Engine() != tcp.EngineSocket {
		t.Errorf("%v, %v", linger.Engine(), err)
	}
}

// The consumer's script runs this without any privilege, too.
func TestRawEngineNeedsThePrivilege(t *testing.T) {
	needsTheLibrary(t)
	target := listen(t, "tcp4", "127.0.0.1")
	raw, refusal := looped(t, tcp.Config{Engine: tcp.EngineRaw})
	automatic := configured(t, tcp.Config{Engine: tcp.EngineAuto})
	if err := automatic.CheckAddr(target.addr, patience); err != nil {
		t.Error(err)
	}
	if refusal != nil {
		if mayOpenRawSockets() || !errors.Is(refusal, syscall.EPERM) || tcp.IsDown(refusal) ||
			automatic.Engine() != tcp.EngineSocket {
			t.Errorf("%v, %v", refusal, automatic.Engine())
		}
		return
	}
	if !mayOpenRawSockets() || raw.Engine() != tcp.EngineRaw || automatic.Engine() != tcp.EngineRaw {
		t.Errorf("%v, %v", raw.Engine(), automatic.Engine())
	}
	result, err := raw.Check(context.Background(), target.addr, patient())
	if err != nil || !result.HalfOpen {
		t.Errorf("%+v, %v", result, err)
	}
	result, err = raw.Check(context.Background(), target.addr, patient().WithZeroLinger(false))
	if !errors.Is(err, syscall.ENOTSUP) || tcp.IsDown(err) || result.Status != tcp.StatusUnsupported {
		t.Errorf("%+v, %v", result, err)
	}
	if seen := accepted(t, target); seen != 0 {
		t.Errorf("the target saw %d checks", seen)
	}
}

func TestAnotherSynIsSentAfterTheInterval(t *testing.T) {
	needsTheLibrary(t)
	addr := silent(t)
	// Less than the library's own interval and the kernel's: a SYN that is sent again in this time was asked for.
	opts := tcp.DefaultOptions().WithTimeout(250 * time.Millisecond)
	retransmits := func(interval time.Duration) int {
		checker := configured(t, tcp.Config{SynInterval: interval})
		result, err := checker.Check(context.Background(), addr, opts)
		if !errors.Is(err, tcp.ErrTimeout) {
			t.Fatal(err)
		}
		return result.SynRetransmits
	}
	eventually(t, "early SYNs", func() int {
		if retransmits(50*time.Millisecond) > 0 {
			return 0
		}
		return 1
	})
	eventually(t, "a check without early SYNs", func() int { return retransmits(-1) })
}
