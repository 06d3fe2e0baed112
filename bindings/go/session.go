package tcp

import (
	"context"
	"net"
	"sync"
	"time"
)

// A session is one run of a CheckingLoop.
type session struct {
	// Checks of monitors end with FIN, whatever their watches say.
	linger bool
	// Over when the session ends, and with it the lookups under way.
	ctx    context.Context
	cancel context.CancelFunc
	// Makes the checks; served by CheckingLoop's own goroutine.
	ring *ring

	mu sync.Mutex
	// Those of the ring's checker, which they must not outlive; nil when there are to be no more.
	monitors map[*Monitor]struct{}
}

func newSession(config *Config) (*session, error) {
	ring, err := newRing(config)
	if err != nil {
		return nil, err
	}
	s := &session{linger: config.Linger, ring: ring, monitors: make(map[*Monitor]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// An attempt is one check, as its caller wants it.
type attempt struct {
	target          target
	network         string
	resolver        *net.Resolver
	flags, mark     uint32
	began, deadline time.Time
}

// check makes one check, until ctx is cancelled or the session ends.
func (s *session) check(ctx context.Context, a attempt) (Result, error) {
	endpoints, err := s.resolve(ctx, a)
	if err != nil {
		return Result{Status: statusOf(err), Elapsed: time.Since(a.began)}, err
	}
	known := time.Now()
	decisive := s.ring.race(ctx, endpoints, a.deadline, a.flags, a.mark)
	if decisive == nil {
		return Result{Status: StatusCancelled, Elapsed: time.Since(a.began)}, ctx.Err()
	}
	result := decisive.result
	if a.target.ips == nil {
		result.Elapsed = time.Since(a.began)
		if result.Status == StatusTimeout && saysNothing(a.deadline.Sub(known), a.deadline.Sub(a.began)) {
			return Result{Status: StatusResolve, Elapsed: result.Elapsed}, a.target.timedOut()
		}
	}
	return result, verdict(result.Status, decisive.errno, a.target.text)
}

// resolve finds the endpoints of a target until the deadline, until ctx is cancelled or until the session ends.
func (s *session) resolve(ctx context.Context, a attempt) ([]endpoint, error) {
	t := a.target
	if t.isLiteral() {
		return t.endpoints(t.ips, t.port, a.network)
	}
	lookup, cancel := context.WithDeadline(ctx, a.deadline)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	found, err := t.lookUp(lookup, a.resolver, a.network)
	switch {
	case err == nil:
	case ctx.Err() == context.Canceled:
		err = ctx.Err()
	case s.ctx.Err() != nil:
		err = ErrNotReady
	}
	return found, err
}

// end ends every monitor, every check and every lookup. The ring is not served any more when it returns.
func (s *session) end() {
	s.cancel()
	s.mu.Lock()
	monitors := s.monitors
	s.monitors = nil
	s.mu.Unlock()
	for m := range monitors {
		m.Close()
	}
	s.ring.stop()
	<-s.ring.served
	s.ring.close()
}

// monitor makes a Monitor that ends with the session, at the latest.
func (s *session) monitor(config MonitorConfig) (*Monitor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.monitors == nil {
		return nil, ErrNotReady
	}
	watches, err := newWatches(s, config)
	if err != nil {
		return nil, err
	}
	m := &Monitor{session: s, watches: watches}
	s.monitors[m] = struct{}{}
	return m, nil
}
