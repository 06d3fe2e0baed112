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
	// Makes the checks without a mark; served by CheckingLoop's own goroutine.
	main *ring

	mu sync.Mutex
	// Those that make checks with a mark, by the mark.
	marked map[uint32]*ring
	ended  bool
}

func newSession(config *Config) (*session, error) {
	main, err := newRing(config, 0)
	if err != nil {
		return nil, err
	}
	s := &session{config: config, main: main, marked: make(map[uint32]*ring)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// ring returns the ring for a mark, and makes it if need be.
func (s *session) ring(mark uint32) (*ring, error) {
	if mark == 0 {
		return s.main, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrNotReady
	}
	if known := s.marked[mark]; known != nil {
		return known, nil
	}
	made, err := newRing(s.config, mark)
	if err != nil {
		return nil, err
	}
	s.marked[mark] = made
	go made.serve()
	return made, nil
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

// rings are all that there are.
func (s *session) rings() []*ring {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []*ring{s.main}
	for _, marked := range s.marked {
		all = append(all, marked)
	}
	return all
}

// end ends every check and every lookup. No ring is served any more when it returns.
func (s *session) end() {
	s.cancel()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	rings := s.rings()
	for _, r := range rings {
		r.stop()
	}
	for _, r := range rings {
		<-r.served
		r.close()
	}
}
