package tcp

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrMonitorClosed is what the functions of a [Monitor] return after its end: Close was called, or the CheckingLoop of
// its [Checker] has ended.
var ErrMonitorClosed = errors.New("tcp: the Monitor is closed")

// ErrNoWatch means that a [Monitor] has no watch of this id: it was removed, or never was.
var ErrNoWatch = errors.New("tcp: the Monitor has no such watch")

// MonitorConfig is what a [Monitor] can be told when it is made. Its zero value has every default.
type MonitorConfig struct {
	// MaxSpread is the time within which first checks are made, spread evenly, in whole milliseconds. 0 is the interval
	// of each watch, which JitterPercent may make longer; less than 0 makes them at once.
	MaxSpread time.Duration
	// EveryResult has every result told as a [Change], also one that changes nothing.
	EveryResult bool
	// MaxDownPercent is how many percent of the watches may be down at once, or failing. While more would be, none goes
	// down: it is more likely that this host has lost its network. 0 is 100; less than 0 lets none go down.
	MaxDownPercent int
}

// Monitor checks targets again and again, and tells when the state of one changes. It is safe for any number of
// goroutines. It ends with Close, or with the CheckingLoop of its [Checker].
type Monitor struct {
	session *session
	end     sync.Once
	watches *watches
}

// Monitor makes a Monitor without any watch. While no CheckingLoop runs on the Checker it is [ErrNotReady].
func (c *Checker) Monitor(config MonitorConfig) (*Monitor, error) {
	session := c.current()
	if session == nil {
		return nil, ErrNotReady
	}
	return session.monitor(config)
}

// Close ends the checks of the Monitor, and every loop over its changes. Changes that wait are gone. It returns nil, also
// when the Monitor has ended already.
func (m *Monitor) Close() error {
	m.end.Do(func() {
		m.watches.close()
		m.session.mu.Lock()
		delete(m.session.monitors, m)
		m.session.mu.Unlock()
	})
	return nil
}

// Add adds watches, all or none, and returns their ids, which are never used again. A target that is no address is a
// [*net.AddrError]; a watch that ends its checks with FIN, on [EngineRaw], is [*ErrLocal] with ENOTSUP.
func (m *Monitor) Add(watches ...Watch) ([]uint64, error) {
	if len(watches) == 0 {
		return nil, nil
	}
	return m.watches.add(watches)
}

// Remove removes watches. No loop that takes its next change afterwards sees one of theirs. If one of the ids is no
// watch's it returns [ErrNoWatch], and the others are removed.
func (m *Monitor) Remove(ids ...uint64) error { return m.watches.remove(ids) }

// Pause makes no checks of a watch, or goes on with them. It keeps its state meanwhile, and can be reported.
func (m *Monitor) Pause(id uint64, paused bool) error { return m.watches.pause(id, paused) }

// CheckNow has a check of a watch begin at once, or if one is in flight, when that has ended. Also of one that is paused.
func (m *Monitor) CheckNow(id uint64) error { return m.watches.checkNow(id) }

// Report tells what the program's own traffic saw of a target. It counts as one verdict.
func (m *Monitor) Report(id uint64, up bool) error { return m.watches.report(id, up) }

// Get returns what is known of a watch.
func (m *Monitor) Get(id uint64) (WatchInfo, error) { return m.watches.get(id) }

// Held returns how many changes to down were held back, as this program was late itself, or too many watches would have
// been down (MaxDownPercent). It is 0 after the end.
func (m *Monitor) Held() uint64 { return m.watches.heldBack() }

// Changes returns an iterator over the changes, to be used as
//
//	for change := range monitor.Changes(ctx) { ... }
//
// (an [iter.Seq], which Go before 1.23 does not know). The loop waits for each next change, and ends with ctx or the
// Monitor. It takes a change only to hand it out: what is not seen, because the loop was left or ctx has ended, waits for
// the next one. Several loops may run at once; each change comes to one of them.
//
// The changes of a watch come in their order. Of one that changes faster than it is read two wait: the first that was
// not read, and the latest, which is Skipped if there were others in between.
func (m *Monitor) Changes(ctx context.Context) func(yield func(Change) bool) {
	return func(yield func(Change) bool) {
		for ctx.Err() == nil {
			change, ok := m.watches.take()
			if !ok && !m.watches.wait(ctx) {
				return
			}
			if ok && !yield(change) {
				return
			}
		}
	}
}
