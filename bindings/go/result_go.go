//go:build !cgo || !linux || tcpshaker_go

package tcp

// of is the counter of a status.
func (s *Stats) of(status Status) *uint64 {
	switch status {
	case StatusUp:
		return &s.Up
	case StatusTimeout:
		return &s.TimedOut
	case StatusRefused:
		return &s.Refused
	case StatusUnreachable:
		return &s.Unreachable
	case StatusLocal:
		return &s.Local
	case StatusCancelled:
		return &s.Cancelled
	case StatusClosed:
		return &s.Closed
	case StatusBusy:
		return &s.Busy
	case StatusUnsupported:
		return &s.Unsupported
	}
	return &s.Internal
}

// text is the library's, as of the version that this module came with.
func (s Status) text() string {
	switch s {
	case StatusUp:
		return "up"
	case StatusTimeout:
		return "timed out"
	case StatusRefused:
		return "refused"
	case StatusUnreachable:
		return "unreachable"
	case StatusInvalid:
		return "bad argument: a NULL, an unknown flag, a reserved field that is not zero or a value out of range"
	case StatusAddress:
		return "not an address: expected host:port with a port from 1 to 65535, IPv6 as [address]:port, of an allowed family"
	case StatusResolve:
		return "name not resolved"
	case StatusLocal:
		return "this machine could not make the check"
	case StatusCancelled:
		return "cancelled"
	case StatusClosed:
		return "the checker was shut down"
	case -7:
		return "the checker belongs to the parent process"
	case -8:
		return "a blocking call from a callback of the same checker"
	case StatusBusy:
		return "the deadline passed while the check waited for its turn"
	case StatusUnsupported:
		return "not on this platform, or not with these privileges"
	case StatusInternal:
		return "internal error of libtcpshaker"
	}
	return "unknown status"
}
