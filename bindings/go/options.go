package tcp

import (
	"fmt"
	"math"
	"net"
	"time"
)

// Options are the settings of one check. Start from [DefaultOptions].
type Options struct {
	// Timeout is how long the check may take, the lookup of a name included, rounded up to whole milliseconds. If it
	// is 0 or less, nothing is sent, and the check is [ErrTimeout] at once.
	Timeout time.Duration
	// Network is "tcp" for either family, in the resolver's order; "tcp4"; "tcp6"; or "tcp6-then-tcp4" for either
	// family, IPv6 first.
	Network string
	// ZeroLinger ends the check with RST. Without it FIN ends it, and the handshake completes.
	ZeroLinger bool
	// Mark is the firewall mark (SO_MARK), of 32 bits; 0 sets none. It needs CAP_NET_ADMIN, or since Linux 5.17
	// CAP_NET_RAW: without it the check is [*ErrLocal] with EPERM, and nothing is sent.
	Mark int
}

// DefaultOptions are 3 seconds, either family, RST at the end and no mark.
func DefaultOptions() Options {
	return Options{Timeout: 3 * time.Second, Network: "tcp", ZeroLinger: true}
}

// WithTimeout returns the options with another Timeout.
func (o Options) WithTimeout(d time.Duration) Options {
	o.Timeout = d
	return o
}

// WithNetwork returns the options with another Network.
func (o Options) WithNetwork(name string) Options {
	o.Network = name
	return o
}

// WithZeroLinger returns the options with another ZeroLinger.
func (o Options) WithZeroLinger(on bool) Options {
	o.ZeroLinger = on
	return o
}

// WithMark returns the options with another Mark.
func (o Options) WithMark(m int) Options {
	o.Mark = m
	return o
}

// The network of either family, IPv6 first.
const ipv6First = "tcp6-then-tcp4"

// native are the flags of a request of the library, and its mark.
func (o Options) native() (flags, mark uint32, err error) {
	switch o.Network {
	case "", "tcp", "tcp4", "tcp6", ipv6First:
	default:
		return 0, 0, net.UnknownNetworkError(o.Network)
	}
	// setsockopt(2) takes an int: a mark with its highest bit set may be written as a negative number.
	if int64(o.Mark) < math.MinInt32 || int64(o.Mark) > math.MaxUint32 {
		return 0, 0, fmt.Errorf("tcp: the mark %d has more than 32 bits", o.Mark)
	}
	if !o.ZeroLinger {
		flags = linger
	}
	return flags, uint32(o.Mark), nil
}

// milliseconds rounds up: a check must not end before its time, and 0 would be the library's own default.
func milliseconds(d time.Duration) uint32 {
	if d <= time.Millisecond {
		return 1
	}
	whole := (d-1)/time.Millisecond + 1
	return uint32(min(whole, math.MaxUint32))
}
