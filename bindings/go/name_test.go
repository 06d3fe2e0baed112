//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// Long after all that ends at once has ended, and before a resolver gives a silent server up (5 s).
const atOnce = 4 * time.Second

// asking makes a Checker that has names looked up by a resolver.
func asking(t testing.TB, resolver *net.Resolver) *tcp.Checker {
	t.Helper()
	checker, err := tcp.NewCheckerWithConfig(tcp.Config{Resolver: resolver})
	if err != nil {
		t.Fatal(err)
	}
	return checker
}

// patient are options of a check that ends because it was answered.
func patient() tcp.Options { return tcp.DefaultOptions().WithTimeout(patience) }

// portOf is the port of an address, as ":80".
func portOf(addr string) string { return ":" + strconv.Itoa(int(netip.MustParseAddrPort(addr).Port())) }

func TestAddressesOfANameAreTriedUntilOneIsUp(t *testing.T) {
	target := listen(t, "tcp4", "127.0.0.1")
	port := netip.MustParseAddrPort(target.addr).Port()
	bound(t, "127.0.0.2", port)
	silentAt(t, "127.0.0.3", port)
	server := serveNames(t, map[string][]string{
		"refused.test.":        {"127.0.0.2", "127.0.0.1"},
		"silent.test.":         {"127.0.0.3", "127.0.0.1"},
		"silent-refused.test.": {"127.0.0.3", "127.0.0.2", "127.0.0.1"},
	})
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	for _, name := range []string{"refused.test.", "silent.test.", "silent-refused.test."} {
		opts := tcp.DefaultOptions().WithTimeout(time.Hour)
		result, err := checker.Check(context.Background(), name+portOf(target.addr), opts)
		if err != nil || !result.Status.Up() || result.Address.String() != target.addr {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		if silent := name != "refused.test."; silent && result.Elapsed < 250*time.Millisecond {
			t.Errorf("%s: the silent address had %v", name, result.Elapsed)
		}
	}
	// Those that lost the race do not hold their sockets until their time is over.
	eventually(t, "checks", func() int { return int(checker.Stats().InFlight) })
}

func TestFirstAddressOfANameDecidesIfNoneIsUp(t *testing.T) {
	port := netip.MustParseAddrPort(dead(t)).Port()
	bound(t, "127.0.0.2", port)
	silentAt(t, "127.0.0.3", port)
	server := serveNames(t, map[string][]string{
		"refused.test.": {"127.0.0.2", "127.0.0.3"},
		"silent.test.":  {"127.0.0.3", "127.0.0.2"},
	})
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	for name, wanted := range map[string]struct {
		status  tcp.Status
		address string
	}{
		"refused.test.": {tcp.StatusRefused, "127.0.0.2"},
		"silent.test.":  {tcp.StatusTimeout, "127.0.0.3"},
	} {
		opts := tcp.DefaultOptions().WithTimeout(time.Second)
		result, err := checker.Check(context.Background(), name+":"+strconv.Itoa(int(port)), opts)
		if result.Status != wanted.status || result.Address.Addr().String() != wanted.address || !tcp.IsDown(err) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

func TestNameWithAnAddressThatCouldNotBeAskedHasNoVerdictButUp(t *testing.T) {
	target := listen(t, "tcp6", "[::1]")
	port := portOf(target.addr)
	closed := ":" + strconv.Itoa(int(netip.MustParseAddrPort(dead(t)).Port()))
	server := serveNames(t, map[string][]string{"both.test.": {"::1", "127.0.0.2"}})
	// No check of IPv4 can leave: this machine does not have the address.
	checker := configured(t, tcp.Config{
		Resolver: server.resolver, Sources: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	})
	if err := checker.CheckAddr("both.test."+closed, patience); err == nil || tcp.IsDown(err) {
		t.Errorf("the address that could not be asked may be alive: %v", err)
	}
	if err := checker.CheckAddr("both.test."+port, patience); err != nil {
		t.Error(err)
	}
}

func TestNetworkSaysWhichAddressesOfANameAreTried(t *testing.T) {
	target := listen(t, "tcp6", "[::1]")
	port := netip.MustParseAddrPort(target.addr).Port()
	bound(t, "127.0.0.2", port)
	server := serveNames(t, map[string][]string{
		"both.test.": {"127.0.0.2", "::1"}, "four.test.": {"127.0.0.2"}, "six.test.": {"::1"},
	})
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	four, six := netip.MustParseAddr("127.0.0.2"), netip.IPv6Loopback()
	for _, wanted := range []struct {
		network, name string
		address       netip.Addr // not valid: there is none
	}{
		{"tcp", "both.test.", six}, {"tcp4", "both.test.", four}, {"tcp6", "both.test.", six},
		{"tcp6-then-tcp4", "both.test.", six}, {"tcp6-then-tcp4", "four.test.", four}, {"tcp6-then-tcp4", "six.test.", six},
		{"tcp4", "six.test.", netip.Addr{}}, {"tcp6", "four.test.", netip.Addr{}},
		{"tcp6-then-tcp4", "127.0.0.2", four}, {"tcp6-then-tcp4", "[::1]", six},
	} {
		opts := patient().WithNetwork(wanted.network)
		result, err := checker.Check(context.Background(), wanted.name+portOf(target.addr), opts)
		var unresolved *net.DNSError
		if result.Address.Addr() != wanted.address || !wanted.address.IsValid() && !errors.As(err, &unresolved) {
			t.Errorf("%s on %s: %+v, %v", wanted.name, wanted.network, result, err)
		}
	}
	// With IPv6 first, only a silent IPv6 address has IPv4 asked.
	if stats := checker.Stats(); stats.Submitted != stats.Up+stats.Refused {
		t.Errorf("%+v", stats)
	}
}

func TestCancelledLookupEndsAtOnce(t *testing.T) {
	server := serveNames(t, nil)
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	ctx, cancel := context.WithCancel(context.Background())
	const checks = 100
	errs := make(chan error, checks)
	for i := range checks {
		go func() {
			_, err := checker.Check(ctx, strconv.Itoa(i)+".silent.test.:80", tcp.DefaultOptions().WithTimeout(time.Hour))
			errs <- err
		}()
	}
	asked(t, server, 1)
	if stats := checker.Stats(); stats.Submitted != 0 {
		t.Errorf("the library is to do with lookups: %+v", stats)
	}
	began := time.Now()
	cancel()
	for range checks {
		if err := <-errs; err != context.Canceled {
			t.Fatalf("cancelled, but: %v", err)
		}
	}
	if took := time.Since(began); took > atOnce {
		t.Errorf("took %v", took)
	}
}

func TestLoopEndsAtOnceWhileANameIsLookedUp(t *testing.T) {
	target, server := listen(t, "tcp4", "127.0.0.1"), serveNames(t, nil)
	checker := asking(t, server.resolver)
	stop := start(t, checker)
	ready := checker.WaitReady()
	errs := make(chan error, 1)
	go func() { errs <- checker.CheckAddr("silent.test.:80", time.Hour) }()
	asked(t, server, 1)

	began := time.Now()
	stop()
	if err := <-errs; err != tcp.ErrNotReady {
		t.Errorf("the check under way: %v", err)
	}
	if took := time.Since(began); took > atOnce {
		t.Errorf("took %v", took)
	}
	if checker.IsReady() || checker.WaitReady() == ready {
		t.Error("ready after the end")
	}
	defer start(t, checker)()
	if err := checker.CheckAddr(target.addr, patience); err != nil {
		t.Errorf("started again: %v", err)
	}
}

func TestLookupThatIsNotInTimeIsATimeoutAndNoVerdict(t *testing.T) {
	server := serveNames(t, nil)
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	const timeout = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for what, check := range map[string]func() (tcp.Result, error){
		"the options'": func() (tcp.Result, error) {
			return checker.Check(context.Background(), "silent.test.:80", tcp.DefaultOptions().WithTimeout(timeout))
		},
		"the context's": func() (tcp.Result, error) { return checker.Check(ctx, "silent.test.:80", patient()) },
	} {
		result, err := check()
		if result.Status == tcp.StatusCancelled {
			continue // the context was over before the check began
		}
		var unresolved *net.DNSError
		if !errors.As(err, &unresolved) || !unresolved.IsTimeout || unresolved.Name != "silent.test." || tcp.IsDown(err) {
			t.Errorf("%s time: %#v", what, err)
		}
		if result.Status != tcp.StatusResolve || result.Elapsed < timeout/2 {
			t.Errorf("%s time: %+v", what, result)
		}
	}
}

// asked waits until the server was asked so many questions.
func asked(t *testing.T, server *nameServer, questions int64) {
	t.Helper()
	eventually(t, "questions", func() int { return int(questions - server.asked.Load()) })
}

func TestSilenceOfANameThatWasKnownTooLateForAnAnswerIsNoVerdict(t *testing.T) {
	port := netip.MustParseAddrPort(dead(t)).Port()
	silentAt(t, "127.0.0.3", port)
	server := serveNames(t, map[string][]string{"silent.test.": {"127.0.0.3"}})
	checker := asking(t, &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			time.Sleep(400 * time.Millisecond)
			return server.resolver.Dial(ctx, network, address)
		},
	})
	t.Cleanup(start(t, checker))
	opts := tcp.DefaultOptions().WithTimeout(500 * time.Millisecond)
	result, err := checker.Check(context.Background(), "silent.test.:"+strconv.Itoa(int(port)), opts)
	var unresolved *net.DNSError
	if !errors.As(err, &unresolved) || !unresolved.IsTimeout || result.Status != tcp.StatusResolve || tcp.IsDown(err) {
		t.Errorf("%+v, %v", result, err)
	}
}
