package tcp

import (
	"context"
	"net"
)

// lookUp asks a resolver for what the text does not say, and gives up when ctx ends.
func (t target) lookUp(ctx context.Context, resolver *net.Resolver, network string) ([]endpoint, error) {
	ips, port := t.ips, t.port
	if port == 0 {
		number, err := resolver.LookupPort(ctx, "tcp", t.service)
		if err != nil {
			return nil, t.unresolved(ctx, err)
		}
		if number == 0 {
			return nil, t.malformed("invalid port")
		}
		port = uint16(number)
	}
	if ips == nil {
		family := map[string]string{"tcp4": "ip4", "tcp6": "ip6"}[network]
		if family == "" {
			family = "ip"
		}
		var err error
		if ips, err = resolver.LookupNetIP(ctx, family, t.host); err != nil {
			return nil, t.unresolved(ctx, err)
		}
	}
	return t.endpoints(ips, port, network)
}

// unresolved says of a lookup that had not ended in time that it timed out, whatever it was at when it gave up.
func (t target) unresolved(ctx context.Context, err error) error {
	if ctx.Err() == context.DeadlineExceeded {
		return t.timedOut()
	}
	return err
}

func (t target) timedOut() error {
	return &net.DNSError{Err: "i/o timeout", Name: t.host, IsTimeout: true, IsTemporary: true}
}
