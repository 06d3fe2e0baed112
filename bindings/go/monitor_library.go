//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <stdlib.h>
#include <time.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"context"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

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

// Watches are a monitor of the library.
type watches struct {
	linger  bool // of the Checker
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

func newWatches(s *session, config MonitorConfig) (*watches, error) {
	native, err := config.native()
	if err != nil {
		return nil, err
	}
	defer C.shaker_monitor_config_free(native)
	m := &watches{linger: s.linger, turn: make(chan struct{}, 1), watched: make(map[uint64]watched)}
	switch Status(C.shaker_monitor_new(s.ring.checker, native, &m.monitor)) {
	case StatusUp:
	case StatusClosed:
		return nil, ErrNotReady
	default:
		return nil, &ErrLocal{syscall.EAGAIN}
	}
	err = &ErrLocal{syscall.EMFILE}
	if fd := C.shaker_monitor_fd(m.monitor); fd >= 0 {
		m.waiting, err = newReadiness(int(fd))
	}
	if err != nil {
		C.shaker_monitor_free(m.monitor)
		return nil, err
	}
	return m, nil
}

func (m *watches) close() {
	m.waiting.Close() // ends those who wait
	m.mu.Lock()
	defer m.mu.Unlock()
	C.shaker_monitor_free(m.monitor)
	m.monitor, m.watched = nil, nil
}

func (m *watches) add(watches []Watch) ([]uint64, error) {
	native, free, err := natives(watches, m.linger)
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

func (m *watches) remove(ids []uint64) error {
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

func (m *watches) pause(id uint64, paused bool) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_pause(native, C.uint64_t(id), C.bool(paused))
	})
}

func (m *watches) checkNow(id uint64) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_check_now(native, C.uint64_t(id))
	})
}

func (m *watches) report(id uint64, up bool) error {
	return m.with(func(native *C.shaker_monitor) C.shaker_status {
		return C.shaker_monitor_report(native, C.uint64_t(id), C.bool(up))
	})
}

func (m *watches) get(id uint64) (WatchInfo, error) {
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

func (m *watches) heldBack() uint64 {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return uint64(C.shaker_monitor_held(m.monitor)) // which is 0 for NULL
}

func (m *watches) with(call func(*C.shaker_monitor) C.shaker_status) error {
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

// take takes the next change, if there is one.
func (m *watches) take() (Change, bool) {
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
func (m *watches) wait(ctx context.Context) bool {
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
