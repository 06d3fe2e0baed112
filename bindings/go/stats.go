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

	InFlight uint64 // checks that hold a socket now
	Queued   uint64 // checks that wait for their turn now
	Sockets  uint64 // held now, idle ones included
	// CompletedHandshakes counts half-open checks whose last ACK went out, or may have.
	CompletedHandshakes uint64
}

// Stats reads the counters, one by one, while checks go on. They are 0 while no CheckingLoop runs.
func (c *Checker) Stats() Stats {
	var total Stats
	if s := c.current(); s != nil {
		for _, r := range s.rings() {
			r.addStats(&total)
		}
	}
	return total
}

func (r *ring) addStats(total *Stats) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	var stats C.shaker_stats
	C.shaker_checker_stats(r.checker, &stats, C.sizeof_shaker_stats)
	for _, counter := range []struct {
		total *uint64
		count C.uint64_t
	}{
		{&total.Submitted, stats.submitted},
		{&total.Up, stats.up},
		{&total.TimedOut, stats.timed_out},
		{&total.Refused, stats.refused},
		{&total.Unreachable, stats.unreachable},
		{&total.Invalid, stats.err_invalid},
		{&total.BadAddress, stats.err_address},
		{&total.Local, stats.err_local},
		{&total.Cancelled, stats.err_cancelled},
		{&total.Closed, stats.err_closed},
		{&total.Busy, stats.err_busy},
		{&total.Unsupported, stats.err_unsupported},
		{&total.Internal, stats.err_internal},
		{&total.InFlight, stats.in_flight},
		{&total.Queued, stats.queued},
		{&total.Sockets, stats.sockets},
		{&total.CompletedHandshakes, stats.completed_handshakes},
	} {
		*counter.total += uint64(counter.count)
	}
}
