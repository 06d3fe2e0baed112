//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#cgo pkg-config: tcpshaker
#include <stdlib.h>
#include <tcpshaker.h>

enum { BATCH = 256 };

// C memory, as the library gets no pointer into Go's.
typedef struct {
  shaker_request requests[BATCH];
  uint64_t ids[BATCH];
  shaker_address addresses[BATCH];
  shaker_result answered[BATCH]; // those that the submitting goroutine reaps
  shaker_result results[BATCH];  // those that the serving one does
} ring_memory;
*/
import "C"

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A ring is one checker of the library: checks go in by the batch, and come back by the batch.
//
// Only one goroutine at a time submits and cancels, and reaps what was answered at once; one other reaps the rest. So
// however many goroutines wait, two threads at most are inside the library.
type ring struct {
	checker *C.shaker_checker
	memory  *C.ring_memory
	// Readable while results wait to be reaped.
	fd     int
	engine Engine
	served chan struct{}

	mu sync.Mutex
	// Checks without a result, by the key that travels as their user_data. Keys are never used again.
	waiting map[uintptr]*check
	lastKey uintptr
	// What the library has yet to be told.
	submits, cancels []*check
	telling          bool
	toldAll          sync.Cond
	closed           bool
	readable         *readiness // armed while checks are waiting
}

// newRing makes a ring, to be served, then closed.
func newRing(config *Config) (*ring, error) {
	if err := compareVersions(); err != nil {
		return nil, err
	}
	native, err := config.native()
	if err != nil {
		return nil, err
	}
	defer C.shaker_config_free(native)
	r := &ring{served: make(chan struct{}), waiting: make(map[uintptr]*check)}
	r.toldAll.L = &r.mu
	switch status := Status(C.shaker_checker_new(native, &r.checker)); status {
	case StatusUp:
	case StatusUnsupported:
		return nil, &ErrLocal{syscall.EPERM}
	default:
		// No descriptors, no threads or no such network namespace; the library does not say which.
		err = &ErrLocal{syscall.EAGAIN}
		if config.NetworkNamespace != "" {
			err = fmt.Errorf("tcp: no checker in the network namespace %s: %w", config.NetworkNamespace, err)
		}
		return nil, err
	}
	r.memory = (*C.ring_memory)(C.calloc(1, C.sizeof_ring_memory))
	err = &ErrLocal{syscall.ENOMEM}
	if r.memory != nil {
		r.fd = int(C.shaker_checker_fd(r.checker))
		r.engine = Engine(C.shaker_checker_engine(r.checker))
		if r.readable, err = newReadiness(r.fd); err == nil {
			return r, nil
		}
	}
	r.free()
	return nil, err
}

// submit queues a check, which is sent to its channel once it has its result.
func (r *ring) submit(c *check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.result.Status = StatusClosed
		c.done <- c
		return
	}
	r.lastKey++
	c.key = r.lastKey
	r.waiting[c.key] = c
	r.submits = append(r.submits, c)
	r.startTelling()
}

// cancel makes those of the checks end soon that have not ended. Their results may be left in their channels.
func (r *ring) cancel(checks []*check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range checks {
		if r.waiting[c.key] == c && !r.closed {
			r.cancels = append(r.cancels, c)
			r.startTelling()
		}
	}
}

// startTelling passes on what is queued, unless another goroutine is at it. The lock is held.
//
// It does so on the caller's own thread: a target on this machine answers within the submission, and its result is there
// without another goroutine or thread being woken. What is queued meanwhile is not the caller's to wait for.
func (r *ring) startTelling() {
	if r.telling {
		return
	}
	r.telling = true
	r.tell()
	if r.isQueued() {
		go r.tellAll()
	} else {
		r.endTelling()
	}
}

// tellAll passes on what was queued, and what is queued meanwhile.
func (r *ring) tellAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.isQueued() {
		r.tell()
	}
	r.endTelling()
}

func (r *ring) endTelling() {
	r.telling = false
	r.toldAll.Broadcast()
}

func (r *ring) isQueued() bool { return len(r.submits)+len(r.cancels) > 0 }

// tell passes on what is queued now. The lock is held, but not while the library is called.
func (r *ring) tell() {
	submits, cancels := r.submits, r.cancels
	r.submits, r.cancels = nil, nil
	for len(submits) > 0 {
		batch := submits[:min(len(submits), C.BATCH)]
		submits = submits[len(batch):]
		r.mu.Unlock()
		r.submitBatch(batch)
		if len(batch) == 1 {
			r.reap(&r.memory.answered[0], 0)
		}
		r.mu.Lock()
		r.armIfAnyWaits()
	}
	if len(cancels) > 0 {
		r.mu.Unlock()
		// A check is never cancelled before it was submitted, so its id is known here.
		for _, c := range cancels {
			if c.id != 0 {
				C.shaker_cancel(r.checker, C.uint64_t(c.id))
			}
		}
		r.mu.Lock()
	}
}

func (r *ring) armIfAnyWaits() {
	if len(r.waiting) > 0 {
		r.readable.arm()
	}
}

func (r *ring) submitBatch(batch []*check) {
	for i, c := range batch {
		request, address := &r.memory.requests[i], &r.memory.addresses[i]
		request.sockaddr_len = c.endpoint.put(address)
		request.sockaddr = (*C.struct_sockaddr)(unsafe.Pointer(address))
		request.timeout_ms = C.uint32_t(c.timeoutMS)
		request.flags = C.uint32_t(c.flags)
		request.mark = C.uint32_t(c.mark)
		*userData(&request.user_data) = c.key
	}
	// Not in the call itself, where cgo would copy both arrays to look for pointers.
	first, ids := &r.memory.requests[0], &r.memory.ids[0]
	status := C.shaker_submit(r.checker, first, C.size_t(len(batch)), ids)
	if status == C.SHAKER_OK {
		for i, c := range batch {
			c.id = uint64(r.memory.ids[i])
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range batch {
		c.result.Status = Status(status)
		r.finish(c)
	}
}

// userData is the field as the integer that it carries: neither Go nor the library ever follows it.
func userData(field *unsafe.Pointer) *uintptr { return (*uintptr)(unsafe.Pointer(field)) }

// finish sends a check to the goroutine that waits for it. The lock is held.
func (r *ring) finish(c *check) {
	delete(r.waiting, c.key)
	c.done <- c
}

// reap hands out a batch of results, and waits for the first of them. It returns how many there were.
func (r *ring) reap(first *C.shaker_result, waitMS C.uint32_t) int {
	count := int(C.shaker_reap(r.checker, first, C.BATCH, waitMS))
	if count == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	results := unsafe.Slice(first, count)
	for i := range results {
		key := userData(&results[i].user_data)
		c := r.waiting[*key]
		*key = 0 // an integer must not reach Go's memory as a pointer
		c.result, c.errno = newResult(&results[i]), int32(results[i].os_error)
		r.finish(c)
	}
	return count
}

// serve hands out results until stop is called.
func (r *ring) serve() error {
	defer close(r.served)
	results, err := r.readable.SyscallConn()
	if err == nil {
		err = results.Read(func(uintptr) bool {
			r.mu.Lock()
			r.readable.takeTold()
			r.mu.Unlock()
			for r.reap(&r.memory.results[0], 0) == C.BATCH {
			}
			r.mu.Lock()
			r.armIfAnyWaits()
			r.mu.Unlock()
			return false
		})
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// stop makes serve return: a deadline that has passed wakes its goroutine.
func (r *ring) stop() { r.readable.SetReadDeadline(time.Unix(1, 0)) }

// close ends every check and frees the ring, which nobody serves any more.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	for r.telling {
		r.toldAll.Wait()
	}
	r.mu.Unlock()

	C.shaker_checker_shutdown(r.checker)
	for r.busy() {
		r.reap(&r.memory.results[0], C.UINT32_MAX)
	}
	r.readable.Close()
	r.free()
}

func (r *ring) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting) > 0
}

func (r *ring) free() {
	C.shaker_checker_free(r.checker)
	C.free(unsafe.Pointer(r.memory))
}
