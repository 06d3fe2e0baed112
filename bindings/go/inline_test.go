//go:build linux

package tcp_test

import (
	"sync"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// switches is how often a thread of this process went to sleep.
func switches(t *testing.T) int64 {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return usage.Nvcsw
}

func TestCheckOfANearTargetWakesNoOtherThread(t *testing.T) {
	needsTheLibrary(t)
	checker, addrs := running(t), []string{listen(t, "tcp4", "127.0.0.1").addr, dead(t)}
	// A check that has to wait has its result by a wake-up, and leaves none for those after it.
	if err := checker.CheckAddr(silent(t), time.Millisecond); err != tcp.ErrTimeout && err != tcp.ErrBusy {
		t.Fatal(err)
	}
	const checks = 2000
	before := switches(t)
	for i := range checks {
		if err := checker.CheckAddr(addrs[i%2], patience); err != nil && !tcp.IsDown(err) {
			t.Fatal(err)
		}
	}
	slept := switches(t) - before
	t.Logf("threads went to sleep %d times in %d checks", slept, checks)
	if slept > checks/2 {
		t.Errorf("threads went to sleep %d times in %d checks", slept, checks)
	}
}

// Results of checks that had to wait come by another way than those of checks that were answered at once.
func TestChecksThatWaitHaveTheirResultsThoughOthersAreAnsweredAtOnce(t *testing.T) {
	checker, up, mute := running(t), listen(t, "tcp4", "127.0.0.1").addr, silent(t)
	timesOut := func(timeout time.Duration) {
		if err := checker.CheckAddr(mute, timeout); err != tcp.ErrTimeout && err != tcp.ErrBusy {
			t.Error(err)
		}
	}
	for round := range 200 {
		began := time.Now()
		var group sync.WaitGroup
		aside := func(check func()) {
			group.Add(1)
			go func() {
				defer group.Done()
				check()
			}()
		}
		aside(func() { timesOut(5 * time.Millisecond) })
		for range round % 3 {
			aside(func() {
				for range round % 7 {
					if err := checker.CheckAddr(up, patience); err != nil {
						t.Error(err)
					}
				}
			})
		}
		timesOut(time.Millisecond)
		group.Wait()
		if took := time.Since(began); took > patience/2 {
			t.Fatalf("round %d: checks within 5 ms took %v", round, took)
		}
	}
}
