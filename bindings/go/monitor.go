package tcp

/*
#include <stdlib.h>
#include <time.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// ErrMonitorClosed is what the functions of a [Monitor] return after its end: Close was called, or the CheckingLoop of
// its [Checker] has ended.
var ErrMonitorClosed = errors.New("tcp: the Monitor is closed")

// ErrNoWatch means that a [Monitor] has no watch of this id: it was removed, or never was.
var ErrNoWatch = errors.New("tcp: the Monitor has no such watch")

// MonitorConfig is what a [Monitor] can be told when it is made. Its zero value has every default.
type MonitorConfig struct {
	// MaxSpread is the time within which first checks are made, spread evenly, in whole milliseconds. 0 is the interval
	// of each watch; less than 0 makes them at once.
	MaxSpread time.Duration
	// EveryResult has every result told as a [Change], also one that changes nothing.
	EveryResult bool
	// MaxDownPercent is how many percent of the watches may be down at once, or failing. While more would be, none goes
	// down: it is more likely that this host has lost its network. 0 is 100; less than 0 lets none go down.
	MaxDownPercent int
}

func (c MonitorConfig) native() (*C.shaker_monitor_config, error) {
	native := C.shaker_monitor_config_new()
	if c.MaxSpread != 0 {
		var ms uint32
		if c.MaxSpread > 0 {
			ms = milliseconds(c.MaxSpread)
		}
		C.shaker_monitor_config_set_max_spread(native, C.uint32_t(ms))
	}
	C.shaker_monitor_config_set_every_result(native, C.bool(c.EveryResult))
	if c.MaxDownPercent != 0 {
		percent := C.uint32_t(min(max(c.MaxDownPercent, 0), 101))
		status := C.shaker_monitor_config_set_max_down_percent(native, percent)
		if err := refused("MaxDownPercent", c.MaxDownPercent, Status(status)); err != nil {
			C.shaker_monitor_config_free(native)
			return nil, err
		}
	}
	return native, nil
}

// Monitor checks targets again and again, and tells when the state of one changes. It is safe for any number of
// goroutines. It ends with Close, or with the CheckingLoop of its [Checker].
type Monitor struct {
	session *session
	end     sync.Once
	waiting *readiness
	// Held by the goroutine that waits for changes; the others wait for it.
	turn chan struct{}

	// Shared by the calls that leave the watches as they are.
	mu      sync.RWMutex
	monitor *C.shaker_monitor // nil after the end
	watched map[uint64]watched
}

// What Go knows of a watch, as the library keeps no pointer into Go's memory.
type watched struct {
	addr     string
	userData any
}

// Monitor makes a Monitor without any watch. While no CheckingLoop runs on the Checker it is [ErrNotReady].
func (c *Checker) Monitor(config MonitorConfig) (*Monitor, error) {
	session := c.current()
	if session == nil {
		return nil, ErrNotReady
	}
	native, err := config.native()
	if err != nil {
		return nil, err
	}
	defer C.shaker_monitor_config_free(native)
	return session.monitor(native)
}

// monitor makes a Monitor that ends with the session, at the latest.
func (s *session) monitor(config *C.shaker_monitor_config) (*Monitor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.monitors == nil {
		return nil, ErrNotReady
	}
	m := &Monitor{
		session: s, turn: make(chan struct{}, 1), watched: make(map[uint64]watched),
	}
	switch Status(C.shaker_monitor_new(s.ring.checker, config, &m.monitor)) {
	case StatusUp:
	case StatusClosed:
		return nil, ErrNotReady
	default:
		return nil, &ErrLocal{syscall.EAGAIN}
	}
	err := error(&ErrLocal{syscall.EMFILE})
	if fd := C.shaker_monitor_fd(m.monitor); fd >= 0 {
		m.waiting, err = newReadiness(int(fd))
	}
	if err != nil {
		C.shaker_monitor_free(m.monitor)
		return nil, err
	}
	s.monitors[m] = struct{}{}
	return m, nil
}

// Close ends the checks of the Monitor, and every loop over its changes. Changes that wait are gone. It returns nil, also
// when the Monitor has ended already.
func (m *Monitor) Close() error {
	m.end.Do(func() {
		m.waiting.Close() // ends those who wait
		m.mu.Lock()
		C.shaker_monitor_free(m.monitor)
		m.monitor, m.watched = nil, nil
		m.mu.Unlock()
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
	native, free, err := natives(watches, m.session.config)
	if err != nil {
		return nil, err
	}
	defer free()
	ids := make([]uint64, len(watches))
	// No change of theirs is looked up before they are known here.
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.monitor == nil {
		return nil, ErrMonitorClosed
	}
	first := (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(ids)))
	switch status := Status(C.shaker_monitor_add(m.monitor, native, C.size_t(len(watches)), first)); status {
	case StatusUp:
	case StatusLocal:
		return nil, &ErrLocal{syscall.ENOMEM}
	case StatusClosed:
		return nil, ErrMonitorClosed
	default:
		addr := ""
		if len(watches) == 1 {
			addr = watches[0].Addr // of several the library does not say which
		}
		return nil, verdict(status, 0, addr)
	}
	for i, id := range ids {
		m.watched[id] = watched{watches[i].Addr, watches[i].UserData}
	}
	return ids, nil
}

// Remove removes watches. No loop that takes its next change afterwards sees one of theirs. If one of the ids is no
// watch's it returns [ErrNoWatch], and the others are removed.
func (m *Monitor) Remove(ids ...uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.monitor == nil {
		return ErrMonitorClosed
	}
	first := (*C.uint64_t)(unsafe.Pointer(unsafe.SliceData(ids)))
	status := C.shaker_monitor_remove(m.monitor, first, C.size_t(len(ids)))
	for _, id := range ids {
		delete(m.watched, id)
	}
	return ofWatch(status)
}

// Pause makes no checks of a watch, or goes on with them. It keeps its state meanwhile, and can be reported.
func (m *Monitor) Pause(id uint64, paused bool) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_pause(native, C.uint64_t(id), C.bool(paused))
	})
}

// CheckNow has a check of a watch begin at once, or if one is in flight, when that has ended. Also of one that is paused.
func (m *Monitor) CheckNow(id uint64) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_check_now(native, C.uint64_t(id))
	})
}

// Report tells what the program's own traffic saw of a target. It counts as one verdict.
func (m *Monitor) Report(id uint64, up bool) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_report(native, C.uint64_t(id), C.bool(up))
	})
}

// Get returns what is known of a watch.
func (m *Monitor) Get(id uint64) (WatchInfo, error) {
	var info C.shaker_watch_info
	var addr string
	err := m.with(func(native *C.shaker_monitor) C.shaker_status {
		addr = m.watched[id].addr
		return C.shaker_monitor_get(native, C.uint64_t(id), &info, C.sizeof_shaker_watch_info)
	})
	if err != nil {
		return WatchInfo{}, err
	}
	return newWatchInfo(&info, addr), nil
}

// Held returns how many changes to down were held back, as this program was late itself, or too many watches would have
// been down (MaxDownPercent). It is 0 after the end.
func (m *Monitor) Held() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return uint64(C.shaker_monitor_held(m.monitor)) // which is 0 for NULL
}

func (m *Monitor) with(call func(*C.shaker_monitor) C.shaker_status) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.monitor == nil {
		return ErrMonitorClosed
	}
	return ofWatch(call(m.monitor))
}

func ofWatch(status C.shaker_status) error {
	switch Status(status) {
	case StatusInvalid:
		return ErrNoWatch
	case StatusClosed:
		return ErrMonitorClosed
	}
	return verdict(Status(status), 0, "")
}

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
			change, ok := m.take()
			if !ok && !m.wait(ctx) {
				return
			}
			if ok && !yield(change) {
				return
			}
		}
	}
}

// take takes the next change, if there is one.
func (m *Monitor) take() (Change, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var c C.shaker_change
	if C.shaker_monitor_reap(m.monitor, &c, 1, 0) == 0 { // so it is for NULL
		return Change{}, false
	}
	return newChange(&c, m.watched[uint64(c.id)]), true
}

// wait waits for a change, and says whether it may be worth while to look for one: not after the end, nor after that of
// ctx. It blocks the goroutine, and no thread.
func (m *Monitor) wait(ctx context.Context) bool {
	select {
	case m.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	defer func() { <-m.turn }()
	// A deadline that has passed wakes this goroutine.
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		m.waiting.SetReadDeadline(time.Unix(1, 0))
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken
			m.waiting.SetReadDeadline(time.Time{})
		}
	}()
	changes, err := m.waiting.SyscallConn()
	if err != nil {
		return false // closed
	}
	told := false
	err = changes.Read(func(uintptr) bool {
		m.waiting.takeTold()
		if !told {
			m.waiting.arm()
			told = true // when it is called again
			return false
		}
		return true
	})
	return err == nil
}

// instant is the time that CLOCK_MONOTONIC had shown as so many microseconds, or will.
func instant(us C.uint64_t) time.Time {
	var clock C.struct_timespec
	C.clock_gettime(C.CLOCK_MONOTONIC, &clock)
	now := time.Now()
	since := time.Duration(clock.tv_sec)*time.Second + time.Duration(clock.tv_nsec)
	return now.Add(time.Duration(us)*time.Microsecond - since)
}
