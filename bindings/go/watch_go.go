//go:build !cgo || !linux || tcpshaker_go

package tcp

import "time"

// A watched target is what a monitor keeps of a watch.
type watched struct {
	id          uint64
	target      target
	flags, mark uint32
	settings    Watch // no number of which stands for a default
	userData    any

	hysteresis
	// How many verdicts had come while too many watches failed when its latest came; if that was a failure made before it
	// was over, one less.
	failedIn uint64
	info     WatchInfo
	timer    *time.Timer // nil while none is set
	removed  bool
	// A check is in flight; another is to begin as soon as it ends.
	inFlight, again bool
	// The check in flight, or the next, was asked for; and the one after that. It counts, though the watch is paused.
	asked, askedNext bool
	// Changes that wait, and the latest of them.
	pending int
	latest  *pending
}

func newWatched(w *Watch, linger bool) (*watched, error) {
	target, flags, mark, err := w.check(linger)
	if err != nil {
		return nil, err
	}
	settings := *w
	for _, time := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&settings.Timeout, time.Second},
		{&settings.Interval, 2 * time.Second},
	} {
		if *time.value == 0 {
			*time.value = time.standard
		}
	}
	for _, interval := range []*time.Duration{
		&settings.FallingInterval, &settings.RisingInterval, &settings.DownInterval,
	} {
		if *interval == 0 {
			*interval = settings.Interval
		}
	}
	for _, count := range []struct {
		value    *uint32
		standard uint32
	}{
		{&settings.Fall, 3}, {&settings.Rise, 2}, {&settings.FirstFall, 1}, {&settings.FirstRise, 1},
	} {
		if *count.value == 0 {
			*count.value = count.standard
		}
	}
	info := WatchInfo{State: w.Initial, Last: Result{Status: StatusBusy}, Err: ErrBusy}
	return &watched{
		target: target, flags: flags, mark: mark, settings: settings, userData: w.UserData,
		hysteresis: hysteresis{state: w.Initial, isFirst: true}, info: info,
	}, nil
}

func (w *watched) stopTimer() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer, w.info.Next = nil, time.Time{}
	}
}

// interval is how long the next check waits.
func (w *watched) interval() time.Duration {
	return jittered(w.pace(&w.settings), w.settings.JitterPercent)
}

// measure takes in a round trip (RFC 6298, 2.2 and 2.3).
func (w *watched) measure(rtt time.Duration) {
	if i := &w.info; i.SmoothedRTT == 0 {
		i.SmoothedRTT, i.RTTVariation = rtt, rtt/2
	} else {
		i.RTTVariation += ((i.SmoothedRTT - rtt).Abs() - i.RTTVariation) / 4
		i.SmoothedRTT += (rtt - i.SmoothedRTT) / 8
	}
	w.info.RTT = rtt
}

// A hysteresis is a state, and the verdicts that may lead out of it.
type hysteresis struct {
	state State
	// Whether there was a verdict, and the latest was up.
	hasLatest, isLatestUp bool
	// No run of verdicts has been long enough yet to leave the initial state, or to confirm it.
	isFirst bool
	// Verdicts in a row that agree with the latest, since the failures were doubted.
	run uint32
}

// after is what one more verdict makes of it.
func (h hysteresis) after(isUp bool, settings *Watch) hysteresis {
	if !h.hasLatest || h.isLatestUp != isUp {
		h.run = 0
	}
	h.hasLatest, h.isLatestUp = true, isUp
	h.run++
	state, needed := StateDown, settings.Fall
	switch {
	case isUp && h.isFirst:
		state, needed = StateUp, settings.FirstRise
	case isUp:
		state, needed = StateUp, settings.Rise
	case h.isFirst:
		needed = settings.FirstFall
	}
	if h.run >= needed {
		h.state, h.isFirst = state, false
	}
	return h
}

// doubted is what a failure makes of it that is not believed: neither it nor those before it count.
func (h hysteresis) doubted() hysteresis {
	h.hasLatest, h.isLatestUp, h.run = true, false, 0
	return h
}

// doubtful is 1 if it is down, or the latest verdict says that it may soon be.
func (h hysteresis) doubtful() int {
	if h.state == StateDown || h.hasLatest && !h.isLatestUp {
		return 1
	}
	return 0
}

// pace is the interval that a watch is checked at.
func (h hysteresis) pace(settings *Watch) time.Duration {
	switch {
	case h.state == StateUp && h.hasLatest && !h.isLatestUp:
		return settings.FallingInterval
	case h.state != StateUp && h.hasLatest && h.isLatestUp:
		return settings.RisingInterval
	case h.state == StateDown:
		return settings.DownInterval
	}
	return settings.Interval
}
