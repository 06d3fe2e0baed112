//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <stdlib.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"syscall"
	"time"
	"unsafe"
)

func newChange(c *C.shaker_change, watched watched) Change {
	return Change{
		ID:       uint64(c.id),
		Addr:     watched.addr,
		UserData: watched.userData,
		From:     State(c.from),
		To:       State(c.to),
		Run:      uint32(c.run),
		Reported: c.flags&C.SHAKER_CHANGE_REPORTED != 0,
		Skipped:  c.flags&C.SHAKER_CHANGE_SKIPPED != 0,
		At:       instant(c.at_us),
		Last:     newResult(&c.last),
		Err:      verdict(Status(c.last.status), int32(c.last.os_error), watched.addr),
	}
}

func newWatchInfo(c *C.shaker_watch_info, addr string) WatchInfo {
	info := WatchInfo{
		State:        State(c.state),
		Run:          uint32(c.run),
		Since:        instant(c.since_us),
		Checks:       uint64(c.checks),
		Up:           uint64(c.up),
		Down:         uint64(c.down),
		NoVerdict:    uint64(c.no_verdict),
		Changes:      uint64(c.changes),
		RTT:          time.Duration(c.rtt_us) * time.Microsecond,
		SmoothedRTT:  time.Duration(c.rtt_smoothed_us) * time.Microsecond,
		RTTVariation: time.Duration(c.rtt_variation_us) * time.Microsecond,
		Paused:       c.paused != 0,
		Last:         newResult(&c.last),
		Err:          verdict(Status(c.last.status), int32(c.last.os_error), addr),
	}
	if c.next_us != 0 {
		info.Next = instant(c.next_us)
	}
	return info
}

// natives are watches as the library has them, in C's memory, and what frees them.
func natives(watches []Watch, linger bool) (*C.shaker_watch, func(), error) {
	length := 0
	for i := range watches {
		length += len(watches[i].Addr) + 1
	}
	first := (*C.shaker_watch)(C.calloc(C.size_t(len(watches)), C.sizeof_shaker_watch))
	texts := (*byte)(C.calloc(C.size_t(length), 1)) // each ends with a NUL
	free := func() {
		C.free(unsafe.Pointer(first))
		C.free(unsafe.Pointer(texts))
	}
	if first == nil || texts == nil {
		free()
		return nil, nil, &ErrLocal{syscall.ENOMEM}
	}
	all, rest := unsafe.Slice(first, len(watches)), unsafe.Slice(texts, length)
	for i := range watches {
		if err := watches[i].put(&all[i], linger); err != nil {
			free()
			return nil, nil, err
		}
		addr := watches[i].Addr
		all[i].addr = (*C.char)(unsafe.Pointer(&rest[0]))
		copy(rest, addr)
		rest = rest[len(addr)+1:]
	}
	return first, free, nil
}

// put sets all but the address, or says what cannot be.
func (w *Watch) put(native *C.shaker_watch, linger bool) error {
	_, flags, mark, err := w.check(linger)
	if err != nil {
		return err
	}
	switch w.Network {
	case "tcp4":
		flags |= C.SHAKER_IPV4
	case "tcp6":
		flags |= C.SHAKER_IPV6
	}
	native.flags, native.mark = C.uint32_t(flags), C.uint32_t(mark)
	for _, time := range []struct {
		value  time.Duration
		native *C.uint32_t
	}{
		{w.Timeout, &native.timeout_ms},
		{w.Interval, &native.interval_ms},
		{w.FallingInterval, &native.falling_ms},
		{w.RisingInterval, &native.rising_ms},
		{w.DownInterval, &native.down_ms},
	} {
		if time.value > 0 {
			*time.native = C.uint32_t(milliseconds(time.value))
		}
	}
	native.fall, native.rise = C.uint32_t(w.Fall), C.uint32_t(w.Rise)
	native.first_fall, native.first_rise = C.uint32_t(w.FirstFall), C.uint32_t(w.FirstRise)
	native.jitter_percent, native.initial = C.uint32_t(w.JitterPercent), C.int32_t(w.Initial)
	return nil
}
