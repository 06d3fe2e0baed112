//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <tcpshaker.h>
*/
import "C"

import (
	"time"
	"unsafe"
)

// The numbers that stand in this package's documentation are those of tcpshaker.h, or it does not compile.
var (
	_ [StatusUp]struct{}           = [C.SHAKER_OK]struct{}{}
	_ [StatusTimeout]struct{}      = [C.SHAKER_TIMEOUT]struct{}{}
	_ [StatusRefused]struct{}      = [C.SHAKER_REFUSED]struct{}{}
	_ [StatusUnreachable]struct{}  = [C.SHAKER_UNREACHABLE]struct{}{}
	_ [-StatusInvalid]struct{}     = [-C.SHAKER_ERR_INVALID]struct{}{}
	_ [-StatusAddress]struct{}     = [-C.SHAKER_ERR_ADDRESS]struct{}{}
	_ [-StatusResolve]struct{}     = [-C.SHAKER_ERR_RESOLVE]struct{}{}
	_ [-StatusLocal]struct{}       = [-C.SHAKER_ERR_LOCAL]struct{}{}
	_ [-StatusCancelled]struct{}   = [-C.SHAKER_ERR_CANCELLED]struct{}{}
	_ [-StatusClosed]struct{}      = [-C.SHAKER_ERR_CLOSED]struct{}{}
	_ [-StatusBusy]struct{}        = [-C.SHAKER_ERR_BUSY]struct{}{}
	_ [-StatusUnsupported]struct{} = [-C.SHAKER_ERR_UNSUPPORTED]struct{}{}
	_ [-StatusInternal]struct{}    = [-C.SHAKER_ERR_INTERNAL]struct{}{}
	_ [linger]struct{}             = [C.SHAKER_LINGER]struct{}{}
	_ [EngineSocket]struct{}       = [C.SHAKER_ENGINE_SOCKET]struct{}{}
	_ [EngineRaw]struct{}          = [C.SHAKER_ENGINE_RAW]struct{}{}
	_ [EngineAuto]struct{}         = [C.SHAKER_ENGINE_AUTO]struct{}{}
	_ [StateUnknown]struct{}       = [C.SHAKER_STATE_UNKNOWN]struct{}{}
	_ [StateUp]struct{}            = [C.SHAKER_STATE_UP]struct{}{}
	_ [StateDown]struct{}          = [C.SHAKER_STATE_DOWN]struct{}{}
)

func supportsHalfOpen() bool { return C.shaker_capabilities()&C.SHAKER_CAN_HALF_OPEN != 0 }

func (s Status) text() string { return C.GoString(C.shaker_status_str(C.shaker_status(s))) }

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
