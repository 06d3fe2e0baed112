package tcp

/*
#include <stdlib.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"fmt"
	"net"
	"syscall"
	"time"
	"unsafe"
)

// State is what a [Monitor] holds to be true of a target.
type State int32

const (
	StateUnknown State = C.SHAKER_STATE_UNKNOWN // too few verdicts yet
	StateUp      State = C.SHAKER_STATE_UP      // it answers
	StateDown    State = C.SHAKER_STATE_DOWN    // it refuses, is silent, or cannot be reached
)

// String is the state's name: unknown, up or down.
func (s State) String() string {
	switch s {
	case StateUnknown:
		return "unknown"
	case StateUp:
		return "up"
	case StateDown:
		return "down"
	}
	return fmt.Sprintf("State(%d)", int32(s))
}

// Watch is a target that a [Monitor] checks again and again. What is 0 has HAProxy's default. Times are in whole
// milliseconds, rounded up.
type Watch struct {
	// Addr is "host:port". A name is looked up anew for each check, by the system's resolver and not by the [Config]'s: a
	// name that does not resolve is no verdict.
	Addr string
	// Network is "tcp" (or empty) for either family, "tcp4" or "tcp6".
	Network string
	// Timeout is how long one check may take, the lookup of a name included. 0 is one second.
	Timeout time.Duration
	// Interval is the time from a verdict to the start of the next check while the target is up and well. 0 is 2 seconds.
	Interval time.Duration
	// FallingInterval is the same while up, after a failure that was not the last straw; RisingInterval while down or
	// unknown, after a success that was not yet enough; DownInterval while down. 0 is Interval.
	FallingInterval, RisingInterval, DownInterval time.Duration
	// Fall is how many failures in a row take the target down, Rise how many successes bring it up. 0 is 3 and 2.
	Fall, Rise uint32
	// FirstFall and FirstRise are the same for the first verdicts of all. 0 is 1.
	FirstFall, FirstRise uint32
	// JitterPercent makes each interval longer or shorter by up to so many percent, at most 50.
	JitterPercent uint32
	// Initial is what holds before the first verdict.
	Initial State
	// Linger ends checks with FIN instead of RST, as Linger of the [Config] does for all.
	Linger bool
	// Mark is the firewall mark, as in [Options].
	Mark int
	// UserData comes back in each [Change].
	UserData any
}

// Change says that the state of a watch has changed; or with EveryResult, that a check of it has ended.
type Change struct {
	ID       uint64 // from Add
	Addr     string // the watch's
	UserData any    // the watch's
	From, To State  // the same only with EveryResult
	Run      uint32 // verdicts in a row that led here
	Reported bool   // by Report, not by a check
	Skipped  bool   // others before it were not read in time, and are gone
	At       time.Time
	// Last is what the latest check learned, and Err the error that [Checker.Check] would have returned. Before the first
	// check it is [ErrBusy]: its turn has not come.
	Last Result
	Err  error
}

// WatchInfo is what a [Monitor] knows of a watch.
type WatchInfo struct {
	State State
	Run   uint32    // verdicts in a row that agree with the latest
	Since time.Time // when it came into this state
	Next  time.Time // when the next check begins; zero while one is in flight, or none is to be made
	// Checks that ended; verdicts, those of Report included; checks without a verdict; changes of the state.
	Checks, Up, Down, NoVerdict, Changes uint64
	// The latest round trip, and what RFC 6298 makes of all: smoothed, and how much they vary.
	RTT, SmoothedRTT, RTTVariation time.Duration
	Paused                         bool
	// What the latest check learned, as in [Change].
	Last Result
	Err  error
}

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
func natives(watches []Watch, config *Config) (*C.shaker_watch, func(), error) {
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
		if err := watches[i].put(&all[i], config); err != nil {
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
func (w *Watch) put(native *C.shaker_watch, config *Config) error {
	target, err := parse(w.Addr)
	if err == nil && target.ips != nil {
		_, err = target.endpoints(target.ips, target.port, w.Network)
	}
	if err != nil {
		return err
	}
	flags, mark, err := Options{Network: w.Network, ZeroLinger: !w.Linger && !config.Linger, Mark: w.Mark}.native()
	if err != nil {
		return err
	}
	switch w.Network {
	case "tcp4":
		flags |= C.SHAKER_IPV4
	case "tcp6":
		flags |= C.SHAKER_IPV6
	case ipv6First:
		return net.UnknownNetworkError(w.Network)
	}
	native.flags, native.mark = C.uint32_t(flags), C.uint32_t(mark)
	for _, time := range []struct {
		name   string
		value  time.Duration
		native *C.uint32_t
	}{
		{"Timeout", w.Timeout, &native.timeout_ms},
		{"Interval", w.Interval, &native.interval_ms},
		{"FallingInterval", w.FallingInterval, &native.falling_ms},
		{"RisingInterval", w.RisingInterval, &native.rising_ms},
		{"DownInterval", w.DownInterval, &native.down_ms},
	} {
		if time.value < 0 {
			return refused(time.name, time.value, StatusInvalid)
		}
		if time.value > 0 {
			*time.native = C.uint32_t(milliseconds(time.value))
		}
	}
	if w.JitterPercent > 50 {
		return refused("JitterPercent", w.JitterPercent, StatusInvalid)
	}
	if w.Initial < StateUnknown || w.Initial > StateDown {
		return refused("Initial", w.Initial, StatusInvalid)
	}
	native.fall, native.rise = C.uint32_t(w.Fall), C.uint32_t(w.Rise)
	native.first_fall, native.first_rise = C.uint32_t(w.FirstFall), C.uint32_t(w.FirstRise)
	native.jitter_percent, native.initial = C.uint32_t(w.JitterPercent), C.int32_t(w.Initial)
	return nil
}
