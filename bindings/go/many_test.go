//go:build linux

package tcp_test

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"sync"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// The threads of a process are counted, so the checks run in one of their own.
func TestTenThousandGoroutinesNeedFewThreads(t *testing.T) {
	if os.Getenv("TCPSHAKER_TEN_THOUSAND") == "" {
		child := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		child.Env = append(os.Environ(), "TCPSHAKER_TEN_THOUSAND=1")
		output, err := child.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		t.Logf("%s", output)
		return
	}
	const goroutines = 10_000
	checker := running(t)
	up := listen(t, "tcp4", "127.0.0.1").addr
	refusing, mute := dead(t), silent(t)

	// What is silent holds its descriptor for seconds, and the rest must get a turn meanwhile.
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	silents := min(goroutines/2, int(min(limit.Cur, 1<<20))/4)

	most, sampling := 0, make(chan struct{})
	var sampler, group sync.WaitGroup
	sampler.Add(1)
	go func() {
		defer sampler.Done()
		for {
			most = max(most, field(t, "Threads:"))
			select {
			case <-sampling:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	for i := range goroutines {
		group.Add(1)
		go func() {
			defer group.Done()
			switch {
			case i < silents:
				if err := checker.CheckAddr(mute, 3*time.Second); err != tcp.ErrTimeout {
					t.Errorf("silent: %v", err)
				}
			case i%2 == 0:
				if err := checker.CheckAddr(up, 2*patience); err != nil {
					t.Errorf("live: %v", err)
				}
			default:
				if _, ok := checker.CheckAddr(refusing, 2*patience).(*tcp.ErrConnect); !ok {
					t.Error("dead, but not ErrConnect")
				}
			}
		}()
	}
	group.Wait()
	close(sampling)
	sampler.Wait()
	created := pprof.Lookup("threadcreate").Count()
	t.Logf("%d goroutines, %d of them on a silent target: %d threads at most, %d of them Go's",
		goroutines, silents, most, created)
	if allowed := runtime.GOMAXPROCS(0) + 10; most > allowed {
		t.Errorf("%d threads; more than %d", most, allowed)
	}
}

// Checks that start, end, are cancelled and are stopped all at once.
func TestManyGoroutinesAndStopsAtTheSameTime(t *testing.T) {
	up, refusing := listen(t, "tcp4", "127.0.0.1").addr, dead(t)
	for range 20 {
		checker, stop := started(t)
		var group sync.WaitGroup
		for i := range 200 {
			group.Add(1)
			go func() {
				defer group.Done()
				for range 20 {
					addr, wanted := up, false
					if i%2 == 1 {
						addr, wanted = refusing, true
					}
					err := checker.CheckAddr(addr, patience)
					if err == tcp.ErrNotReady {
						return
					}
					if tcp.IsDown(err) != wanted || (err == nil) == wanted {
						t.Errorf("%s: %v", addr, err)
					}
				}
			}()
		}
		time.Sleep(5 * time.Millisecond)
		stop()
		group.Wait()
	}
}
