//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func TestBadAddressIsNoVerdict(t *testing.T) {
	checker := running(t)
	target := listen(t, "tcp4", "127.0.0.1")
	for _, addr := range []string{
		"", "127.0.0.1", "::1:80", "[::1:80", "[fe80::1%nowhere]:80", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1",
		target.addr + "\x00", target.addr[:9] + "\x00" + target.addr[9:], strings.Repeat("a", 1000) + ":80",
		strings.Repeat("a", 254) + ":80", "127.0.0.1:", " " + target.addr, target.addr + "\n",
	} {
		err := checker.CheckAddr(addr, patience)
		var bad *net.AddrError
		if !errors.As(err, &bad) || bad.Addr != addr || tcp.IsDown(err) {
			t.Errorf("%.40q: %T: %v", addr, err, err)
		}
	}
	for network, addr := range map[string]string{"tcp4": "[::1]:80", "tcp6": target.addr} {
		opts := tcp.DefaultOptions().WithNetwork(network)
		result, err := checker.Check(context.Background(), addr, opts)
		if bad := (*net.AddrError)(nil); !errors.As(err, &bad) || result.Status != tcp.StatusAddress {
			t.Errorf("%s on %s: %+v, %v", addr, network, result, err)
		}
	}
	err := checker.CheckAddrWithOptions(target.addr, tcp.DefaultOptions().WithNetwork("udp"))
	if err != net.UnknownNetworkError("udp") || tcp.IsDown(err) {
		t.Errorf("udp: %T: %v", err, err)
	}
}

func TestAddressIsReadAsPackageNetReadsIt(t *testing.T) {
	checker := running(t)
	four, six := listen(t, "tcp4", "127.0.0.1"), listen(t, "tcp6", "[::1]")
	for addr, wanted := range map[string]string{
		"[127.0.0.1]" + portOf(four.addr):        four.addr,
		"[::ffff:127.0.0.1]" + portOf(four.addr): four.addr,
		"127.0.0.1:+" + portOf(four.addr)[1:]:    four.addr,
		"127.0.0.1:0" + portOf(four.addr)[1:]:    four.addr,
		portOf(four.addr):                        four.addr,
		"[0:0::1]" + portOf(six.addr):            six.addr,
		"[::1%1]" + portOf(six.addr):             six.addr,
		portOf(six.addr):                         six.addr,
		"localhost" + portOf(four.addr):          four.addr,
		"LOCALHOST" + portOf(four.addr):          four.addr,
	} {
		// Whichever of two addresses refuses, the other one is up.
		result, err := checker.Check(context.Background(), addr, patient())
		address := netip.AddrPortFrom(result.Address.Addr().WithZone(""), result.Address.Port())
		if err != nil || address.String() != wanted {
			t.Errorf("%s: %+v, %v", addr, result, err)
		}
	}
	// Whatever answers on that port, if anything.
	for _, service := range []string{"http", "HTTP", "Http"} {
		result, err := checker.Check(context.Background(), "127.0.0.1:"+service, patient())
		if result.Address.String() != "127.0.0.1:80" || err != nil && !tcp.IsDown(err) {
			t.Errorf("%s: %+v, %v", service, result, err)
		}
	}
}

// The system's resolver takes these hosts for addresses, octal and hexadecimal ones among them. Were one asked, it
// would be for nothing, as the server never answers.
func TestHostOfNumbersThatIsNoAddressIsNeitherLookedUpNorChecked(t *testing.T) {
	server := serveNames(t, nil)
	checker := asking(t, server.resolver)
	t.Cleanup(start(t, checker))
	for _, host := range []string{
		"010.0.0.1", "127.0.0.01", "127.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.0X1", "127.0.0.1.",
		"127.0.0.1.1", "256.0.0.1", "a.1", "1.0x",
	} {
		result, err := checker.Check(context.Background(), host+":80", patient())
		var bad *net.AddrError
		if !errors.As(err, &bad) || bad.Addr != host+":80" || result.Status != tcp.StatusAddress || tcp.IsDown(err) {
			t.Errorf("%s: %+v, %T: %v", host, result, err, err)
		}
	}
	if stats, asked := checker.Stats(), server.asked.Load(); stats.Submitted != 0 || asked != 0 {
		t.Errorf("%d checks, and %d questions", stats.Submitted, asked)
	}
}

func TestUnknownServiceIsDNSErrorAndNoVerdict(t *testing.T) {
	// The service is looked up in a file, so no question leaves the machine.
	result, err := running(t).Check(context.Background(), "localhost:no-such-service", tcp.DefaultOptions())
	var unresolved *net.DNSError
	if !errors.As(err, &unresolved) || unresolved.Name != "tcp/no-such-service" || tcp.IsDown(err) {
		t.Errorf("%T: %v", err, err)
	}
	if result.Status != tcp.StatusResolve || result.Address.IsValid() {
		t.Errorf("%+v", result)
	}
}

func TestUnknownNameIsDNSErrorAndNoVerdict(t *testing.T) {
	checker := asking(t, serveNames(t, map[string][]string{"nobody.test.": {}}).resolver)
	t.Cleanup(start(t, checker))
	result, err := checker.Check(context.Background(), "nobody.test.:80", patient())
	var unresolved *net.DNSError
	if !errors.As(err, &unresolved) || unresolved.Name != "nobody.test." || !unresolved.IsNotFound || tcp.IsDown(err) {
		t.Errorf("%T: %v", err, err)
	}
	if result.Status != tcp.StatusResolve || result.Address.IsValid() {
		t.Errorf("%+v", result)
	}
}
