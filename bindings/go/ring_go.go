//go:build !cgo || !linux || tcpshaker_go

package tcp

import (
	"context"
	"sync"
	"syscall"
	"time"
)

func supportsHalfOpen() bool { return false }

// A ring makes checks without the library, by package net: each is a connection of a goroutine of its own, which the
// runtime's poller wakes.
type ring struct {
	config *Config
	engine Engine
	fd     int // there is none to be polled
	served chan struct{}
	ended  context.Context
	stop   context.CancelFunc // makes serve return
	// Holds something for each check in flight.
	places chan struct{}

	mu     sync.Mutex
	closed bool
	counts Stats
	// When the next check may start.
	next time.Time
	// Checks without a result, and what ends them.
	cancels map[*check]context.CancelFunc
	waiting sync.WaitGroup
}

// newRing makes a ring, to be served, then closed.
func newRing(config *Config) (*ring, error) {
	if config.Engine == EngineRaw {
		return nil, &ErrLocal{syscall.ENOTSUP}
	}
	r := &ring{
		config: config, engine: EngineSocket, fd: -1, served: make(chan struct{}),
		places: make(chan struct{}, config.places()), cancels: make(map[*check]context.CancelFunc),
	}
	r.ended, r.stop = context.WithCancel(context.Background())
	return r, nil
}

// places is how many checks may be in flight at once.
func (c *Config) places() int {
	if c.MaxInFlight > 0 {
		return int(min(c.MaxInFlight, 1<<30))
	}
	return int(min(max(descriptorLimit()/2, 1), 1<<18))
}

// submit begins a check, which is sent to its channel once it has its result.
func (r *ring) submit(c *check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		c.result.Status = StatusClosed
		c.done <- c
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(c.timeoutMS)*time.Millisecond)
	r.cancels[c] = cancel
	r.counts.Submitted++
	r.counts.Queued++
	r.waiting.Add(1)
	go r.make(ctx, c, time.Now())
}

// cancel makes those of the checks end soon that have not ended. Their results may be left in their channels.
func (r *ring) cancel(checks []*check) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range checks {
		if cancel := r.cancels[c]; cancel != nil {
			cancel()
		}
	}
}

// make makes one check, from its turn to its result.
func (r *ring) make(ctx context.Context, c *check, began time.Time) {
	defer r.waiting.Done()
	hasPlace, isTurn := r.takeTurn(ctx)
	if isTurn {
		r.count(func(s *Stats) { s.Queued--; s.InFlight++ })
		r.connect(ctx, c)
		deadline, _ := ctx.Deadline()
		if c.result.Status == StatusTimeout && saysNothing(deadline.Sub(c.asked), deadline.Sub(began)) {
			c.result.Status, c.errno = StatusBusy, 0
		}
	} else {
		c.result.Status = StatusBusy
	}
	if hasPlace {
		<-r.places
	}
	c.result.Elapsed = time.Since(began)

	r.mu.Lock()
	defer r.mu.Unlock()
	if isTurn {
		r.counts.InFlight--
	} else {
		r.counts.Queued--
	}
	if !c.result.Status.Up() && ctx.Err() == context.Canceled {
		c.result, c.errno = Result{Status: StatusCancelled, Elapsed: c.result.Elapsed}, 0
		if r.closed {
			c.result.Status = StatusClosed
		}
	}
	*r.counts.of(c.result.Status)++
	r.cancels[c]()
	delete(r.cancels, c)
	c.done <- c
}

// takeTurn waits for one of the places, and for the rate.
func (r *ring) takeTurn(ctx context.Context) (hasPlace, isTurn bool) {
	select {
	case r.places <- struct{}{}:
	case <-ctx.Done():
		return false, false
	}
	if r.config.MaxRate == 0 {
		return true, true
	}
	r.mu.Lock()
	start := r.next
	if now := time.Now(); start.Before(now) {
		start = now
	}
	// One that would come too late takes no other's turn.
	if deadline, _ := ctx.Deadline(); start.Before(deadline) {
		r.next = start.Add(time.Second / time.Duration(r.config.MaxRate))
	}
	r.mu.Unlock()
	return true, pause(ctx, time.Until(start))
}

// pause waits for so long, and says whether ctx went on meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// serve waits until stop is called.
func (r *ring) serve() error {
	<-r.ended.Done()
	close(r.served)
	return nil
}

// close ends every check.
func (r *ring) close() {
	r.mu.Lock()
	r.closed = true
	for _, cancel := range r.cancels {
		cancel()
	}
	r.mu.Unlock()
	r.waiting.Wait()
}

func (r *ring) count(change func(*Stats)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.counts)
}

func (r *ring) stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.counts
	stats.Sockets = stats.InFlight
	stats.CompletedHandshakes = 0 // counts those of half-open checks
	return stats
}
