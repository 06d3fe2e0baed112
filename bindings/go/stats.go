package tcp

/*
#include <tcpshaker.h>
*/
import "C"

// Stats are the counters of a [Checker] since its CheckingLoop began. A check of a name counts once for each address
// that was tried, and not at all while the name is being looked up.
type Stats struct {
	Submitted uint64 // accepted by the library
	// Results, by their Status.
	Up, TimedOut, Refused, Unreachable                                         uint64
	Invalid, BadAddress, Local, Cancelled, Closed, Busy, Unsupported, Internal uint64

	InFlight uint64 // checks in flight now
	Queued   uint64 // checks that wait for their turn now
	Sockets  uint64 // held now, idle ones included
	// Segments that came to the ports of a raw engine and answered no check.
	Unsolicited uint64
	// CompletedHandshakes counts half-open checks whose last ACK went out, or may have.
	CompletedHandshakes uint64
}

// Stats reads the counters, one by one, while checks go on. They are 0 while no CheckingLoop runs.
func (c *Checker) Stats() Stats {
	if s := c.current(); s != nil {
		return s.ring.stats()
	}
	return Stats{}
}

func (r *ring) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return Stats{}
	}
	var s C.shaker_stats
	C.shaker_checker_stats(r.checker, &s, C.sizeof_shaker_stats)
	return Stats{
		Submitted:           uint64(s.submitted),
		Up:                  uint64(s.up),
		TimedOut:            uint64(s.timed_out),
		Refused:             uint64(s.refused),
		Unreachable:         uint64(s.unreachable),
		Invalid:             uint64(s.err_invalid),
		BadAddress:          uint64(s.err_address),
		Local:               uint64(s.err_local),
		Cancelled:           uint64(s.err_cancelled),
		Closed:              uint64(s.err_closed),
		Busy:                uint64(s.err_busy),
		Unsupported:         uint64(s.err_unsupported),
		Internal:            uint64(s.err_internal),
		InFlight:            uint64(s.in_flight),
		Queued:              uint64(s.queued),
		Sockets:             uint64(s.sockets),
		Unsolicited:         uint64(s.unsolicited),
		CompletedHandshakes: uint64(s.completed_handshakes),
	}
}
