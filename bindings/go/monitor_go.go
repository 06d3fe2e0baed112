//go:build !cgo || !linux || tcpshaker_go

package tcp

import (
	"context"
	"math/bits"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Watches are those of a Monitor without the library: a timer of the runtime for each, and a goroutine for each check in
// flight.
type watches struct {
	session *session
	config  MonitorConfig
	ctx     context.Context // over with the monitor
	cancel  context.CancelFunc
	running sync.WaitGroup
	told    chan struct{} // holds something while changes may wait

	mu     sync.Mutex
	closed bool
	byID   map[uint64]*watched
	lastID uint64
	// Changes that wait, those of watches that were removed among them.
	changes []*pending
	// Watches that are down, or whose latest verdict says that they may soon be.
	doubtful int
	// When there last were too many of them, and how many verdicts came while there were.
	tooManyUntil    time.Time
	tooManyVerdicts uint64
	held            uint64
	place           uint64 // the latest first check's, in its window, as a part of 2^64
}

// A pending change waits to be read.
type pending struct {
	Change
	of *watched
}

func newWatches(s *session, config MonitorConfig) (*watches, error) {
	if config.MaxDownPercent > 100 {
		return nil, refused("MaxDownPercent", config.MaxDownPercent, StatusInvalid)
	}
	m := &watches{session: s, config: config, told: make(chan struct{}, 1), byID: make(map[uint64]*watched)}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

func (m *watches) close() {
	m.mu.Lock()
	m.closed = true
	for _, w := range m.byID {
		w.stopTimer()
	}
	m.byID, m.changes = nil, nil
	m.mu.Unlock()
	m.cancel()
	m.running.Wait()
}

func (m *watches) add(added []Watch) ([]uint64, error) {
	all := make([]*watched, len(added))
	for i := range added {
		w, err := newWatched(&added[i], m.session.linger)
		if err != nil {
			return nil, err
		}
		all[i] = w
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrMonitorClosed
	}
	ids, now := make([]uint64, len(all)), time.Now()
	for i, w := range all {
		m.lastID++
		w.id, ids[i] = m.lastID, m.lastID
		w.info.Since = now
		m.byID[w.id] = w
		m.doubtful += w.doubtful()
		m.setTimer(w, m.first(w, now))
	}
	return ids, nil
}

func (m *watches) remove(ids []uint64) (err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrMonitorClosed
	}
	for _, id := range ids {
		w := m.byID[id]
		if w == nil {
			err = ErrNoWatch
			continue
		}
		delete(m.byID, id)
		w.stopTimer()
		w.removed = true
		m.doubtful -= w.doubtful()
	}
	return err
}

func (m *watches) pause(id uint64, paused bool) error {
	return m.with(id, func(w *watched) {
		if w.info.Paused == paused {
			return
		}
		w.info.Paused = paused
		w.asked, w.askedNext = false, false
		if paused {
			w.again = false
			w.stopTimer()
		} else if !w.inFlight {
			m.setTimer(w, m.first(w, time.Now()))
		}
	})
}

func (m *watches) checkNow(id uint64) error {
	return m.with(id, func(w *watched) {
		if w.inFlight {
			w.again, w.askedNext = true, true
		} else {
			w.asked = true
			m.setTimer(w, time.Now())
		}
	})
}

func (m *watches) report(id uint64, up bool) error {
	return m.with(id, func(w *watched) {
		now := time.Now()
		m.weigh(w, up, false, true, now, now)
		// Where that leads to an earlier check, it is made earlier.
		if at := now.Add(w.interval()); w.timer != nil && !w.info.Paused && at.Before(w.info.Next) {
			m.setTimer(w, at)
		}
	})
}

func (m *watches) get(id uint64) (info WatchInfo, err error) {
	err = m.with(id, func(w *watched) { info = w.info })
	return info, err
}

func (m *watches) heldBack() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0
	}
	return m.held
}

func (m *watches) with(id uint64, call func(*watched)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrMonitorClosed
	}
	w := m.byID[id]
	if w == nil {
		return ErrNoWatch
	}
	call(w)
	return nil
}

// golden is 2^64 divided by the golden ratio: its multiples lie evenly, however many there are (Knuth, The Art of
// Computer Programming, volume 3, 6.4).
const golden = 0x9e37_79b9_7f4a_7c15

// first is when a watch is checked that begins, or goes on.
func (m *watches) first(w *watched, now time.Time) time.Time {
	window := m.config.MaxSpread
	if window == 0 {
		window = w.settings.Interval
	}
	m.place += golden
	part, _ := bits.Mul64(m.place, uint64(max(window, 0)))
	return now.Add(time.Duration(part))
}

// setTimer has a watch checked at a time, and at no other. Its check is not in flight.
func (m *watches) setTimer(w *watched, at time.Time) {
	w.stopTimer()
	var timer *time.Timer
	timer = time.AfterFunc(time.Until(at), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		// It may have been stopped while it waited for the lock.
		if w.timer == timer {
			m.begin(w)
		}
	})
	w.timer, w.info.Next = timer, at
}

// begin makes a check. The lock is held.
func (m *watches) begin(w *watched) {
	w.timer, w.info.Next = nil, time.Time{}
	w.inFlight = true
	m.running.Add(1)
	go func() {
		defer m.running.Done()
		began := time.Now()
		result, err := m.session.check(m.ctx, attempt{
			w.target, w.settings.Network, net.DefaultResolver, w.flags, w.mark, began, began.Add(w.settings.Timeout),
		})
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.closed && !w.removed {
			m.settle(w, result, err, began)
		}
	}()
}

// late is how much later than its timeout a check may end whose silence is believed: this program may have been stopped
// while the answer came.
const late = 200 * time.Millisecond

// settle takes in what a check has learned that began then. The lock is held.
func (m *watches) settle(w *watched, result Result, err error, began time.Time) {
	now := time.Now()
	isLate := now.Sub(began) > w.settings.Timeout+late
	w.inFlight = false
	again, asked := w.again, w.asked
	w.again, w.asked, w.askedNext = false, w.askedNext, false
	w.info.Last, w.info.Err = result, err
	if result.Status.Up() {
		w.measure(result.RTT)
	}
	if !w.info.Paused || asked {
		w.info.Checks++
		if result.Status.Up() || result.Status.Down() {
			m.weigh(w, result.Status.Up(), isLate && result.Status == StatusTimeout, false, began, now)
		} else {
			w.info.NoVerdict++
			if m.config.EveryResult {
				m.tell(w, w.info.State, false, now)
			}
		}
	}
	if again {
		m.setTimer(w, now)
	} else if !w.info.Paused {
		m.setTimer(w, now.Add(w.interval()))
	}
}

// weigh takes in a verdict of a check that began then. The lock is held.
func (m *watches) weigh(w *watched, isUp, isDoubted, isReported bool, began, now time.Time) {
	if isUp {
		w.info.Up++
	} else {
		w.info.Down++
	}
	before, others := w.hysteresis, m.doubtful-w.doubtful()
	failing := others
	if !isUp {
		failing++
	}
	// Also an answer shows until when there were too many: until it came.
	areTooMany := m.areTooMany(max(m.doubtful, failing))
	if areTooMany {
		m.tooManyUntil = now
		m.tooManyVerdicts++
	}
	isOfTooMany := !isUp && (areTooMany || began.Before(m.tooManyUntil))
	counted := before
	if !isUp && before.state != StateDown && !isOfTooMany && w.failedIn != m.tooManyVerdicts {
		counted = before.doubted() // failures that were made before it was over do not count with those made since
	}
	w.failedIn = m.tooManyVerdicts
	if isOfTooMany {
		w.failedIn--
	}
	w.hysteresis = counted.after(isUp, &w.settings)
	if before.state != StateDown {
		isDown := w.state == StateDown
		if isDown && isOfTooMany || isDoubted {
			w.hysteresis = before.doubted()
			if isDown {
				m.held++
			}
		}
	}
	m.doubtful = others + w.doubtful()
	w.info.State, w.info.Run = w.state, w.run
	if before.state != w.state {
		w.info.Since = now
		w.info.Changes++
	} else if !m.config.EveryResult {
		return
	}
	m.tell(w, before.state, isReported, now)
}

// areTooMany says whether so many watches may not be down at once.
func (m *watches) areTooMany(down int) bool {
	percent := m.config.MaxDownPercent
	if percent == 0 {
		percent = 100
	}
	return down*100 > max(percent, 0)*len(m.byID)
}

func jittered(interval time.Duration, percent uint32) time.Duration {
	if percent == 0 {
		return interval
	}
	part := (rand.Float64()*2 - 1) * float64(percent) / 100
	return interval + time.Duration(part*float64(interval))
}
