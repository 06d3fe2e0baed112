package tcp

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// The longest name that DNS can carry (RFC 1035, 2.3.4: 255 octets on the wire, 253 in text).
const longestName = 253

// A target is "host:port", taken apart.
type target struct {
	text          string
	host, service string
	ips           []netip.Addr // nil if the host has to be looked up
	port          uint16       // 0 if the service has to be looked up
}

// parse takes an address apart as package net does, but for a host of numbers that is not an IP address: package net
// leaves it to the resolver, and the system's takes it for octal.
func parse(addr string) (target, error) {
	t := target{text: addr}
	if strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r == '\x7f' }) {
		return t, t.malformed("a character that no address has")
	}
	var err error
	if t.host, t.service, err = net.SplitHostPort(addr); err != nil {
		return t, err
	}
	if port, err := strconv.Atoi(t.service); err == nil || t.service == "" {
		if port <= 0 || port > 65535 {
			return t, t.malformed("invalid port")
		}
		t.port = uint16(port)
	}
	if t.host == "" {
		t.ips = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	} else if ip, err := netip.ParseAddr(t.host); err == nil {
		t.ips = []netip.Addr{ip}
	} else if endsInANumber(t.host) || len(strings.TrimSuffix(t.host, ".")) > longestName {
		return t, t.malformed("neither an IP address nor a name")
	}
	return t, nil
}

// isLiteral says whether nothing has to be looked up.
func (t target) isLiteral() bool { return t.ips != nil && t.port != 0 }

func (t target) malformed(why string) error { return &net.AddrError{Err: why, Addr: t.text} }

// endsInANumber says whether a host's last label is a number (https://url.spec.whatwg.org/#ends-in-a-number-checker).
// inet_aton(3) takes some such hosts for addresses that package net does not know: "010.0.0.1" for 8.0.0.1.
func endsInANumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if hexadecimal, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(hexadecimal, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

// An endpoint is one address to check: IPv4 or IPv6, never IPv4 mapped into IPv6.
type endpoint struct {
	ip    netip.Addr // without its zone
	port  uint16
	scope uint32 // the index of the interface that is the zone; 0 without one
}

// endpoints are the addresses that the network allows, in the order in which they are tried.
func (t target) endpoints(ips []netip.Addr, port uint16, network string) ([]endpoint, error) {
	allowed := make([]endpoint, 0, len(ips))
	var later []endpoint
	for _, ip := range ips {
		ip = ip.Unmap()
		scope, err := scopeOf(ip.Zone())
		if err != nil {
			return nil, t.malformed(err.Error())
		}
		e := endpoint{ip.WithZone(""), port, scope}
		switch {
		case ip.Is4() && network == "tcp6" || ip.Is6() && network == "tcp4":
		case ip.Is4() && network == ipv6First:
			later = append(later, e)
		default:
			allowed = append(allowed, e)
		}
	}
	allowed = append(allowed, later...)
	if len(allowed) == 0 {
		return nil, t.malformed("no suitable address found")
	}
	return allowed, nil
}

// scopeOf takes a number at its word, as package net does.
func scopeOf(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if number, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(number), nil
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(link.Index), nil
}

// zone is the name of the interface of a scope.
func zone(scope int) string {
	if scope == 0 {
		return ""
	}
	if link, err := net.InterfaceByIndex(scope); err == nil {
		return link.Name
	}
	return strconv.Itoa(scope)
}
