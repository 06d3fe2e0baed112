//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <tcpshaker.h>
*/
import "C"

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
