//go:build !cgo || !linux || tcpshaker_go

package tcp

import (
	"context"
	"time"
)

// tell has a change wait to be read. Of each watch two wait: the first, and the latest. The lock is held.
func (m *watches) tell(w *watched, from State, isReported bool, now time.Time) {
	change := Change{
		ID: w.id, Addr: w.target.text, UserData: w.userData, From: from, To: w.state, Run: w.run, Reported: isReported,
		At: now, Last: w.info.Last, Err: w.info.Err,
	}
	if w.pending == 2 {
		change.Skipped = true
		w.latest.Change = change
		return
	}
	w.pending++
	w.latest = &pending{change, w}
	m.changes = append(m.changes, w.latest)
	m.wake()
}

// wake lets one goroutine look for changes.
func (m *watches) wake() {
	select {
	case m.told <- struct{}{}:
	default:
	}
}

// take takes the next change, if there is one.
func (m *watches) take() (Change, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.changes) > 0 {
		next := m.changes[0]
		m.changes[0] = nil
		m.changes = m.changes[1:]
		if next.of.removed {
			continue
		}
		next.of.pending--
		if len(m.changes) > 0 {
			m.wake() // another loop may take that one
		}
		return next.Change, true
	}
	return Change{}, false
}

// wait waits for a change, and says whether it may be worth while to look for one: not after the end, nor after that of
// ctx.
func (m *watches) wait(ctx context.Context) bool {
	select {
	case <-m.told:
		return true
	case <-ctx.Done():
	case <-m.ctx.Done():
	}
	return false
}
