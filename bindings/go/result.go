package tcp

import (
	"net/netip"
	"time"
)

// Status is the library's answer to a check. 0 is up; positive is down, and how; negative is no verdict. Expect
// numbers that have no name here, and go by their sign.
type Status int32

// The statuses of the library, as in tcpshaker.h.
const (
	StatusUp          Status = 0
	StatusTimeout     Status = 1
	StatusRefused     Status = 2
	StatusUnreachable Status = 3
	StatusInvalid     Status = -1
	StatusAddress     Status = -2
	StatusResolve     Status = -3
	StatusLocal       Status = -4
	StatusCancelled   Status = -5
	StatusClosed      Status = -6
	StatusBusy        Status = -9
	StatusUnsupported Status = -10
	StatusInternal    Status = -11
)

// linger is SHAKER_LINGER, a flag of a request.
const linger = 2

// Up says whether a SYN-ACK came back.
func (s Status) Up() bool { return s == 0 }

// Down says whether the status is a verdict, and the target is not up.
func (s Status) Down() bool { return s > 0 }

// String is the library's own text for the status.
func (s Status) String() string { return s.text() }

// Result is what one check learned.
type Result struct {
	// Status says more than the error does; the two never disagree.
	Status Status
	// RTT is the time from SYN to SYN-ACK as the kernel measured it; 0 unless the target is up.
	RTT time.Duration
	// Elapsed is the time from submission to verdict, the lookup of a name included.
	Elapsed time.Duration
	// SynRetransmits counts the SYNs that were sent again; RTT means little when it is not 0.
	SynRetransmits int
	// HalfOpen is the proof that on this very check the kernel sent no ACK until the answer was seen
	// (SHAKER_HALF_OPEN in tcpshaker.h).
	HalfOpen bool
	// ZeroWindow says that the SYN-ACK offered a window of 0, as SYN proxies do. [EngineRaw] alone sees it.
	ZeroWindow bool
	// Address is what the verdict is about; not valid if no address was tried.
	Address netip.AddrPort
}
