package tcp

import (
	"fmt"
	"net"
	"time"
)

// State is what a [Monitor] holds to be true of a target.
type State int32

const (
	StateUnknown State = 0 // too few verdicts yet
	StateUp      State = 1 // it answers
	StateDown    State = 2 // it refuses, is silent, or cannot be reached
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
	// Addr is "host:port". A name is looked up by the system's resolver and not by the [Config]'s: anew for the first
	// check, for one after a check that was not up or a failure that was reported, and for one that was asked for.
	// With the library any other check takes the latest answer that was kept, if that is no older than nine tenths of
	// Interval, and than 30 seconds. A name that does not resolve is no verdict.
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

// check takes a watch apart, or says what cannot be. linger is that of the Checker.
func (w *Watch) check(linger bool) (target target, flags, mark uint32, err error) {
	target, err = parse(w.Addr)
	if err == nil && target.ips != nil {
		_, err = target.endpoints(target.ips, target.port, w.Network)
	}
	if err != nil {
		return
	}
	flags, mark, err = Options{Network: w.Network, ZeroLinger: !w.Linger && !linger, Mark: w.Mark}.native()
	if err == nil && w.Network == ipv6First {
		err = net.UnknownNetworkError(w.Network)
	}
	for _, setting := range []struct {
		name  string
		value time.Duration
	}{
		{"Timeout", w.Timeout},
		{"Interval", w.Interval},
		{"FallingInterval", w.FallingInterval},
		{"RisingInterval", w.RisingInterval},
		{"DownInterval", w.DownInterval},
	} {
		if err == nil && setting.value < 0 {
			err = refused(setting.name, setting.value, StatusInvalid)
		}
	}
	if err == nil && w.JitterPercent > 50 {
		err = refused("JitterPercent", w.JitterPercent, StatusInvalid)
	}
	if err == nil && (w.Initial < StateUnknown || w.Initial > StateDown) {
		err = refused("Initial", w.Initial, StatusInvalid)
	}
	return
}
