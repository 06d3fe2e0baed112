//go:build go1.23 && linux

package tcp_test

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func TestWhatALoopDoesNotSeeWaitsForTheNext(t *testing.T) {
	monitor, addr := monitoring(t, running(t)), dead(t)
	const watches = 40
	watching := map[uint64]bool{}
	for range watches {
		id := add(t, monitor, addr)
		bring(t, monitor, id, tcp.StateUp)
		watching[id] = true
	}
	var gone uint64
	for len(watching) > 1 {
		// Each loop ends after one change, in one way or the other.
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		for change := range monitor.Changes(ctx) {
			if change.To == tcp.StateDown {
				continue // the check of a dead target
			}
			if !watching[change.ID] || change.ID == gone {
				t.Fatalf("a second time, or after it was removed: %+v", change)
			}
			delete(watching, change.ID)
			if len(watching)%2 == 0 {
				break
			}
			cancel()
		}
		if ctx.Err() == context.DeadlineExceeded {
			t.Fatalf("%d changes never came", len(watching))
		}
		if cancel(); gone == 0 {
			for gone = range watching {
				break
			}
			delete(watching, gone)
			if err := monitor.Remove(gone); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestLoopEndsWithItsContextTheMonitorOrTheCheckingLoop(t *testing.T) {
	for _, end := range []struct {
		name      string
		by        func(stop, cancel func(), monitor *tcp.Monitor)
		isForEver bool
	}{
		{"context", func(_, cancel func(), _ *tcp.Monitor) { cancel() }, false},
		{"deadline", func(func(), func(), *tcp.Monitor) {}, false},
		{"Close", func(_, _ func(), monitor *tcp.Monitor) { monitor.Close() }, true},
		{"CheckingLoop", func(stop, _ func(), _ *tcp.Monitor) { stop() }, true},
	} {
		checker, stop := started(t)
		stopOnce := sync.OnceFunc(stop)
		monitor := monitoring(t, checker)
		within := patience
		if end.name == "deadline" {
			within = 50 * time.Millisecond
		}
		ctx, cancel := context.WithTimeout(context.Background(), within)
		var loops sync.WaitGroup
		for range 3 {
			loops.Add(1)
			go func() {
				defer loops.Done()
				for change := range monitor.Changes(ctx) {
					t.Errorf("%s: %+v", end.name, change)
				}
			}()
		}
		time.Sleep(20 * time.Millisecond)
		end.by(stopOnce, cancel, monitor)
		loops.Wait()
		if end.isForEver && ctx.Err() != nil {
			t.Errorf("%s: the loops ended by their deadline", end.name)
		}
		_, err := monitor.Add(tcp.Watch{Addr: "127.0.0.1:9", Interval: time.Hour})
		if end.isForEver != (err == tcp.ErrMonitorClosed) {
			t.Errorf("%s: %v", end.name, err)
		}
		cancel()
		stopOnce()
	}
}

func TestLoopAfterOneThatWaitedUntilItsContextEndedWaitsAgain(t *testing.T) {
	monitor := monitoring(t, running(t))
	if waiting(monitor) != 0 {
		t.Error("a change without a watch")
	}
	id := add(t, monitor, listen(t, "tcp4", "127.0.0.1").addr)
	if change := next(t, monitor); change.ID != id {
		t.Errorf("%+v", change)
	}
	time.AfterFunc(50*time.Millisecond, func() { bring(t, monitor, id, tcp.StateDown) })
	if change := next(t, monitor); change.ID != id || change.To != tcp.StateDown {
		t.Errorf("%+v", change)
	}
}

func TestNothingOfAMonitorIsLeftAndLoopsBlockNoThread(t *testing.T) {
	checker, addr := running(t), listen(t, "tcp4", "127.0.0.1").addr
	once := func() {
		monitor, err := checker.Monitor(tcp.MonitorConfig{MaxSpread: -1})
		if err != nil {
			t.Fatal(err)
		}
		add(t, monitor, addr)
		next(t, monitor)
		ctx, cancel := context.WithCancel(context.Background())
		var loops sync.WaitGroup
		for range 50 {
			loops.Add(1)
			go func() {
				defer loops.Done()
				for range monitor.Changes(ctx) {
				}
			}()
		}
		time.Sleep(time.Millisecond)
		cancel()
		loops.Wait()
		monitor.Close()
	}
	once()
	runtime.GC()
	// The collector closes files that were forgotten, and would hide them.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	goroutines, descriptors, threads := runtime.NumGoroutine(), entries(t, "/proc/self/fd"), field(t, "Threads:")
	for range 20 {
		once()
	}
	eventually(t, "goroutines", func() int { return runtime.NumGoroutine() - goroutines })
	eventually(t, "descriptors", func() int { return entries(t, "/proc/self/fd") - descriptors })
	// The runtime may make one more for a call into the library that takes long.
	eventually(t, "threads", func() int { return field(t, "Threads:") - threads - 5 })
}

// Each change is seen by one loop, and those of a watch alternate, whatever else goes on.
func TestStormOfAddsReportsRemovesLoopsAndEnds(t *testing.T) {
	up, refusing := listen(t, "tcp4", "127.0.0.1").addr, dead(t)
	for range 5 {
		checker, stop := started(t)
		monitor := monitoring(t, checker)
		var group sync.WaitGroup
		for i := range 8 {
			group.Add(2)
			go func() {
				defer group.Done()
				for range 50 {
					ids, err := monitor.Add(
						tcp.Watch{Addr: up, Interval: time.Millisecond}, tcp.Watch{Addr: refusing, Interval: time.Millisecond})
					if err == tcp.ErrMonitorClosed {
						return
					}
					monitor.Report(ids[0], false)
					monitor.CheckNow(ids[1])
					monitor.Pause(ids[0], true)
					monitor.Get(ids[0])
					if err := monitor.Remove(ids[i%2]); err != nil && err != tcp.ErrMonitorClosed {
						t.Error(err)
					}
				}
			}()
			go func() {
				defer group.Done()
				for {
					ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i)*time.Millisecond)
					for change := range monitor.Changes(ctx) {
						if change.From == change.To || change.ID == 0 || change.Addr != up && change.Addr != refusing {
							t.Errorf("%+v", change)
						}
					}
					cancel()
					if monitor.CheckNow(0) == tcp.ErrMonitorClosed {
						return
					}
				}
			}()
		}
		time.Sleep(50 * time.Millisecond)
		stop()
		group.Wait()
	}
}
