//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// configured makes a Checker whose loop runs until the test ends.
func configured(t testing.TB, config tcp.Config) *tcp.Checker {
	t.Helper()
	checker, err := tcp.NewCheckerWithConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(start(t, checker))
	return checker
}

func TestConfigThatCannotBeIsAnErrorThatNamesTheSetting(t *testing.T) {
	four, five := netip.MustParseAddr("127.0.0.4"), netip.MustParseAddr("127.0.0.5")
	for setting, config := range map[string]tcp.Config{
		"Engine Engine(3)":      {Engine: 3},
		"Engine Engine(-1)":     {Engine: -1},
		"Threads":               {Threads: 257},
		"Sources 224.0.0.1":     {Sources: []netip.Addr{netip.MustParseAddr("224.0.0.1")}},
		"Sources invalid IP":    {Sources: []netip.Addr{{}}},
		"Sources [127.0.0.4":    {Sources: []netip.Addr{four, five}},
		"Interface a/b":         {Interface: "a/b"},
		"Interface lo\x00":      {Interface: "lo\x00"},
		"NetworkNamespace \x00": {NetworkNamespace: "\x00"},
	} {
		checker, err := tcp.NewCheckerWithConfig(config)
		name, value, _ := strings.Cut(setting, " ")
		if err == nil || checker != nil || !strings.Contains(err.Error(), name+" cannot be "+value) {
			t.Errorf("%s: %v", setting, err)
		}
	}
}

func TestChecksComeFromTheSourceOfTheirFamily(t *testing.T) {
	source := netip.MustParseAddr("127.0.0.4")
	checker := configured(t, tcp.Config{Linger: true, Sources: []netip.Addr{source, netip.IPv6Loopback()}})
	for _, side := range []struct{ network, host, source string }{
		{"tcp4", "127.0.0.1", "127.0.0.4"}, {"tcp6", "[::1]", "::1"},
	} {
		target := listen(t, side.network, side.host)
		opts := patient().WithZeroLinger(false) // FIN lets the application see who asked
		if err := checker.CheckAddrWithOptions(target.addr, opts); err != nil {
			t.Fatal(err)
		}
		if from := (<-target.from).Addr().String(); from != side.source {
			t.Errorf("a check of %s came from %s", target.addr, from)
		}
	}

	nobody := configured(t, tcp.Config{Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")}})
	target := listen(t, "tcp4", "127.0.0.1")
	if err := nobody.CheckAddr(target.addr, patience); !errors.Is(err, syscall.EADDRNOTAVAIL) || tcp.IsDown(err) {
		t.Errorf("from an address of somebody else: %v", err)
	}
}

func TestLingerOfTheConfigIsTheDefaultOfCheckAddr(t *testing.T) {
	checker, target := configured(t, tcp.Config{Linger: true}), listen(t, "tcp4", "127.0.0.1")
	if err := checker.CheckAddr(target.addr, patience); err != nil {
		t.Fatal(err)
	}
	if seen := accepted(t, target); seen != 1 {
		t.Errorf("a check that ends with FIN is an accept, but there were %d", seen)
	}
}

func TestChecksLeaveThroughTheInterface(t *testing.T) {
	target := listen(t, "tcp4", "127.0.0.1")
	if err := configured(t, tcp.Config{Interface: "lo"}).CheckAddr(target.addr, patience); err != nil {
		t.Errorf("lo: %v", err)
	}
	err := configured(t, tcp.Config{Interface: "nowhere"}).CheckAddr(target.addr, patience)
	if !errors.Is(err, syscall.ENODEV) || tcp.IsDown(err) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestChecksLeaveFromTheNetworkNamespace(t *testing.T) {
	needsTheLibrary(t)
	target := listen(t, "tcp4", "127.0.0.1")
	checker, err := looped(t, tcp.Config{NetworkNamespace: "/proc/self/ns/net"})
	if err == nil {
		if err := checker.CheckAddr(target.addr, patience); err != nil {
			t.Error(err)
		}
	} else if !errors.Is(err, syscall.EPERM) || os.Geteuid() == 0 {
		t.Error(err)
	}
	nowhere, _ := tcp.NewCheckerWithConfig(tcp.Config{NetworkNamespace: "/dev/null"})
	if err := nowhere.CheckingLoop(context.Background()); err == nil || !strings.Contains(err.Error(), "/dev/null") {
		t.Error(err)
	}
}

func TestThreadsAreThoseOfTheConfig(t *testing.T) {
	needsTheLibrary(t)
	one, before := running(t), field(t, "Threads:")
	_ = one
	checker := configured(t, tcp.Config{Threads: 20})
	if more := field(t, "Threads:") - before; more < 20 {
		t.Errorf("%d threads more", more)
	}
	target := listen(t, "tcp4", "127.0.0.1")
	if err := checker.CheckAddr(target.addr, patience); err != nil {
		t.Error(err)
	}
}

func TestStatsShowTheLimitsOfTheConfig(t *testing.T) {
	const limit, checks = 3, 10
	checker := configured(t, tcp.Config{MaxInFlight: limit})
	addr := silent(t)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, checks)
	for range checks {
		go func() {
			_, err := checker.Check(ctx, addr, tcp.DefaultOptions().WithTimeout(time.Hour))
			errs <- err
		}()
	}
	eventually(t, "checks", func() int { return checks - int(checker.Stats().Submitted) })
	eventually(t, "checks", func() int { return checks - limit - int(checker.Stats().Queued) })
	if stats := checker.Stats(); stats.InFlight != limit || stats.Queued != checks-limit || stats.Sockets < limit {
		t.Errorf("%+v", stats)
	}
	cancel()
	for range checks {
		<-errs
	}
	eventually(t, "checks", func() int { return checks - int(checker.Stats().Cancelled) })
	if stats := checker.Stats(); stats.InFlight != 0 || stats.Queued != 0 {
		t.Errorf("cancelled: %+v", stats)
	}
}

func TestChecksStartAtTheRateOfTheConfig(t *testing.T) {
	const rate, checks = 20, 10
	checker, target := configured(t, tcp.Config{MaxRate: rate}), listen(t, "tcp4", "127.0.0.1")
	began := time.Now()
	errs := make(chan error, checks)
	for range checks {
		go func() { errs <- checker.CheckAddr(target.addr, patience) }()
	}
	for range checks {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(began); took < (checks-1)*time.Second/rate*9/10 {
		t.Errorf("%d checks at %d per second took %v", checks, rate, took)
	}
}

func TestStatsCountByStatus(t *testing.T) {
	checker, stop := started(t)
	target, refusing, mute := listen(t, "tcp4", "127.0.0.1"), dead(t), silent(t)
	for range 3 {
		checker.CheckAddr(target.addr, patience)
	}
	checker.CheckAddr(refusing, patience)
	checker.CheckAddr(refusing, patience)
	checker.CheckAddr(mute, 500*time.Millisecond)
	if stats := checker.Stats(); stats.Submitted != 6 || stats.Up != 3 || stats.Refused != 2 || stats.TimedOut != 1 {
		t.Errorf("%+v", stats)
	}
	stop()
	if stats := checker.Stats(); stats != (tcp.Stats{}) {
		t.Errorf("after the end: %+v", stats)
	}
}
