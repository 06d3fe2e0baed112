//go:build go1.23 && linux

package tcp_test

import (
	"context"
	"errors"
	"iter"
	"net"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

var _ iter.Seq[tcp.Change] = new(tcp.Monitor).Changes(context.Background())

// monitoring makes a Monitor that checks at once.
func monitoring(t testing.TB, checker *tcp.Checker) *tcp.Monitor {
	t.Helper()
	monitor, err := checker.Monitor(tcp.MonitorConfig{MaxSpread: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { monitor.Close() })
	return monitor
}

// add adds a watch that is checked once; the test brings about whatever else happens to it.
func add(t testing.TB, monitor *tcp.Monitor, addr string) uint64 {
	t.Helper()
	ids, err := monitor.Add(tcp.Watch{Addr: addr, Interval: time.Hour, Timeout: patience})
	if err != nil || len(ids) != 1 || ids[0] == 0 {
		t.Fatal(ids, err)
	}
	return ids[0]
}

// bring reports a state until the watch has changed for it.
func bring(t testing.TB, monitor *tcp.Monitor, id uint64, state tcp.State) {
	t.Helper()
	for range 10 {
		if info, err := monitor.Get(id); err != nil || info.State == state {
			return
		}
		if err := monitor.Report(id, state == tcp.StateUp); err != nil && err != tcp.ErrNoWatch {
			t.Fatal(err)
		}
	}
	t.Fatalf("no report makes it %v", state)
}

// next is the next change, for which it waits.
func next(t testing.TB, monitor *tcp.Monitor) tcp.Change {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for change := range monitor.Changes(ctx) {
		return change
	}
	t.Fatal("no change came")
	return tcp.Change{}
}

// waiting counts the changes that wait, and takes them.
func waiting(monitor *tcp.Monitor) int {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	count := 0
	for range monitor.Changes(ctx) {
		count++
	}
	return count
}

func TestChangeSaysWhoseItIsAndWhatLedToIt(t *testing.T) {
	monitor, up, down := monitoring(t, running(t)), listen(t, "tcp4", "127.0.0.1"), dead(t)
	before := time.Now()
	watch := func(addr string) tcp.Watch {
		return tcp.Watch{Addr: addr, Interval: time.Hour, Timeout: patience, UserData: "of " + addr}
	}
	ids, err := monitor.Add(watch(up.addr), watch(down))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		change := next(t, monitor)
		id, addr, to, isDown := ids[0], up.addr, tcp.StateUp, false
		if change.ID == ids[1] {
			id, addr, to, isDown = ids[1], down, tcp.StateDown, true
		}
		if change.ID != id || change.Addr != addr || change.UserData != "of "+addr {
			t.Errorf("whose: %+v", change)
		}
		if change.From != tcp.StateUnknown || change.To != to || change.Run != 1 || change.Reported || change.Skipped {
			t.Errorf("what: %+v", change)
		}
		if change.Last.Address.String() != addr || change.Last.Status.Down() != isDown || tcp.IsDown(change.Err) != isDown {
			t.Errorf("why: %+v", change)
		}
		if isDown != errors.Is(change.Err, syscall.ECONNREFUSED) || change.At.Before(before) || change.At.After(time.Now()) {
			t.Errorf("why and when: %+v", change)
		}
	}
	if seen := accepted(t, up); seen != 0 && tcp.SupportsHalfOpen() {
		t.Errorf("the target saw %d checks", seen)
	}
}

func TestWhatIsKnownOfAWatchCanBeRead(t *testing.T) {
	monitor, target := monitoring(t, running(t)), listen(t, "tcp4", "127.0.0.1")
	before := time.Now()
	id := add(t, monitor, target.addr)
	next(t, monitor)
	info, err := monitor.Get(id)
	if err != nil || info.State != tcp.StateUp || info.Checks != 1 || info.Up != 1 || info.Changes != 1 || info.Run != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if info.Since.Before(before) || info.RTT <= 0 || info.SmoothedRTT <= 0 || info.Err != nil || !info.Last.Status.Up() {
		t.Errorf("%+v", info)
	}
	if until := time.Until(info.Next); until < 50*time.Minute || until > time.Hour {
		t.Errorf("the next check, an hour after the first, is in %v", until)
	}
	if err := monitor.CheckNow(id); err != nil {
		t.Error(err)
	}
	eventually(t, "checks", func() int {
		info, _ := monitor.Get(id)
		return 2 - int(info.Checks)
	})
	for _, paused := range []bool{true, true, false} {
		err := monitor.Pause(id, paused)
		if info, _ := monitor.Get(id); err != nil || info.Paused != paused {
			t.Errorf("paused: %v, %v", info.Paused, err)
		}
	}
	if waiting(monitor) != 0 || monitor.Held() != 0 {
		t.Error("nothing has changed")
	}
}

func TestReportsCountAsVerdictsAndASlowReaderHasTheFirstChangeAndTheLatest(t *testing.T) {
	monitor := monitoring(t, running(t))
	id := add(t, monitor, listen(t, "tcp4", "127.0.0.1").addr)
	next(t, monitor)
	for _, state := range []tcp.State{tcp.StateDown, tcp.StateUp, tcp.StateDown, tcp.StateUp} {
		bring(t, monitor, id, state)
	}
	first, latest := next(t, monitor), next(t, monitor)
	if !first.Reported || first.Skipped || first.From != tcp.StateUp || first.To != tcp.StateDown || first.Run != 3 {
		t.Errorf("%+v", first)
	}
	if !latest.Reported || !latest.Skipped || latest.To != tcp.StateUp || latest.Run != 2 || waiting(monitor) != 0 {
		t.Errorf("%+v", latest)
	}
}

func TestSettingsOfAMonitorAreUsed(t *testing.T) {
	checker, addr := running(t), dead(t)
	monitor, err := checker.Monitor(tcp.MonitorConfig{MaxSpread: -1, MaxDownPercent: -1, EveryResult: true})
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	if _, err := monitor.Add(tcp.Watch{Addr: addr, Interval: 5 * time.Millisecond, Timeout: patience}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if change := next(t, monitor); change.To != tcp.StateUnknown || !tcp.IsDown(change.Err) {
			t.Errorf("%+v", change)
		}
	}
	if monitor.Held() == 0 {
		t.Error("none was held back")
	}
	if _, err := checker.Monitor(tcp.MonitorConfig{MaxDownPercent: 101}); err == nil {
		t.Error("more than all may be down")
	}
}

func TestWhatCanBeNoWatchIsRefusedWithAllThatCameWithIt(t *testing.T) {
	monitor, target := monitoring(t, running(t)), listen(t, "tcp4", "127.0.0.1").addr
	for wrong, watch := range map[string]tcp.Watch{
		"no address":      {Addr: "nowhere"},
		"no address: NUL": {Addr: target + "\x000"},
		"no port":         {Addr: "127.0.0.1:0"},
		"network":         {Addr: target, Network: "udp"},
		"IPv6 first":      {Addr: target, Network: "tcp6-then-tcp4"},
		"other family":    {Addr: target, Network: "tcp6"},
		"mark":            {Addr: target, Mark: 1 << 32},
		"Timeout":         {Addr: target, Timeout: -1},
		"Interval":        {Addr: target, Interval: -time.Second},
		"FallingInterval": {Addr: target, FallingInterval: -1},
		"RisingInterval":  {Addr: target, RisingInterval: -1},
		"DownInterval":    {Addr: target, DownInterval: -1},
		"JitterPercent":   {Addr: target, JitterPercent: 51},
		"Initial":         {Addr: target, Initial: 3},
	} {
		ids, err := monitor.Add(tcp.Watch{Addr: target}, watch)
		if err == nil || ids != nil || tcp.IsDown(err) {
			t.Errorf("%s: %v, %v", wrong, ids, err)
		}
	}
	var malformed *net.AddrError
	if _, err := monitor.Add(tcp.Watch{Addr: "127.0.0.1"}); !errors.As(err, &malformed) {
		t.Error(err)
	}
	if ids, err := monitor.Add(); err != nil || len(ids) != 0 {
		t.Error("nothing was to be added: ", ids, err)
	}
	if waiting(monitor) != 0 {
		t.Error("a watch was added")
	}
	for _, id := range []uint64{0, 12345, 1<<64 - 1} {
		_, err := monitor.Get(id)
		for _, err := range []error{
			err, monitor.Pause(id, true), monitor.CheckNow(id), monitor.Report(id, true), monitor.Remove(id),
		} {
			if err != tcp.ErrNoWatch {
				t.Error(err)
			}
		}
	}
	id := add(t, monitor, target)
	if err := monitor.Remove(12345, id); err != tcp.ErrNoWatch {
		t.Error(err)
	}
	if _, err := monitor.Get(id); err != tcp.ErrNoWatch {
		t.Errorf("the other was not removed: %v", err)
	}
}

func TestWatchesEndWithFinWhereTheyAreToAndNeverOnTheRawEngine(t *testing.T) {
	target := listen(t, "tcp4", "127.0.0.1")
	watch := tcp.Watch{Addr: target.addr, Interval: time.Hour, Linger: true}
	monitor := monitoring(t, running(t))
	if _, err := monitor.Add(watch); err != nil {
		t.Fatal(err)
	}
	next(t, monitor)
	if seen := accepted(t, target); seen != 1 {
		t.Errorf("a check that ends with FIN is an accept, but there were %d", seen)
	}
	if !mayOpenRawSockets() || !tcp.SupportsHalfOpen() {
		return
	}
	raw := monitoring(t, configured(t, tcp.Config{Engine: tcp.EngineRaw}))
	if _, err := raw.Add(watch); !errors.Is(err, syscall.ENOTSUP) {
		t.Error(err)
	}
}

func TestMonitorThatHasEndedRefusesEverything(t *testing.T) {
	checker := running(t)
	monitor := monitoring(t, checker)
	id := add(t, monitor, dead(t))
	for range 2 {
		if err := monitor.Close(); err != nil {
			t.Error(err)
		}
	}
	_, got := monitor.Get(id)
	_, added := monitor.Add(tcp.Watch{Addr: "127.0.0.1:9"})
	for _, err := range []error{
		got, added, monitor.Pause(id, true), monitor.CheckNow(id), monitor.Report(id, true), monitor.Remove(id),
	} {
		if err != tcp.ErrMonitorClosed {
			t.Error(err)
		}
	}
	if monitor.Held() != 0 || waiting(monitor) != 0 {
		t.Error("it goes on")
	}
	if _, err := tcp.NewChecker().Monitor(tcp.MonitorConfig{}); err != tcp.ErrNotReady {
		t.Errorf("before the CheckingLoop: %v", err)
	}
}
