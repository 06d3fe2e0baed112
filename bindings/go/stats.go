package tcp

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
