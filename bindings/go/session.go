package tcp

import (
	"context"
	"sync"
	"time"
)

// A session is one run of a CheckingLoop.
type session struct {
	config *Config
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
	s := &session{config: config, ring: ring, monitors: make(map[*Monitor]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// resolve finds the endpoints of a target until the deadline, until ctx is cancelled or until the session ends.
func (s *session) resolve(ctx context.Context, t target, network string, deadline time.Time) ([]endpoint, error) {
	if t.isLiteral() {
		return t.endpoints(t.ips, t.port, network)
	}
	lookup, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	found, err := t.lookUp(lookup, s.config.resolver(), network)
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
