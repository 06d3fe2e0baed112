package tcp

/*
#include <tcpshaker.h>
*/
import "C"

import (
	"net/netip"
	"time"
	"unsafe"
)

// Status is the library's answer to a check. 0 is up; positive is down, and how; negative is no verdict. Expect
// numbers that have no name here, and go by their sign.
type Status int32

// The statuses of the library, as in tcpshaker.h.
const (
	StatusUp          Status = C.SHAKER_OK
	StatusTimeout     Status = C.SHAKER_TIMEOUT
	StatusRefused     Status = C.SHAKER_REFUSED
	StatusUnreachable Status = C.SHAKER_UNREACHABLE
	StatusInvalid     Status = C.SHAKER_ERR_INVALID
	StatusAddress     Status = C.SHAKER_ERR_ADDRESS
	StatusResolve     Status = C.SHAKER_ERR_RESOLVE
	StatusLocal       Status = C.SHAKER_ERR_LOCAL
	StatusCancelled   Status = C.SHAKER_ERR_CANCELLED
	StatusClosed      Status = C.SHAKER_ERR_CLOSED
	StatusBusy        Status = C.SHAKER_ERR_BUSY
	StatusUnsupported Status = C.SHAKER_ERR_UNSUPPORTED
	StatusInternal    Status = C.SHAKER_ERR_INTERNAL
)

const linger = C.SHAKER_LINGER

// Up says whether a SYN-ACK came back.
func (s Status) Up() bool { return s == 0 }

// Down says whether the status is a verdict, and the target is not up.
func (s Status) Down() bool { return s > 0 }

// String is the library's own text for the status.
func (s Status) String() string { return C.GoString(C.shaker_status_str(C.shaker_status(s))) }

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

func newResult(r *C.shaker_result) Result {
	return Result{
		Status:         Status(r.status),
		RTT:            time.Duration(r.rtt_us) * time.Microsecond,
		Elapsed:        time.Duration(r.elapsed_us) * time.Microsecond,
		SynRetransmits: int(r.syn_retransmits),
		HalfOpen:       r.flags&C.SHAKER_HALF_OPEN != 0,
		ZeroWindow:     r.flags&C.SHAKER_ZERO_WINDOW != 0,
		Address:        addrPort(unsafe.Pointer(&r.address)),
	}
}
