package tcp

import "sync"

// A session is one run of a CheckingLoop.
type session struct {
	config *Config
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
	return &session{config: config, main: main, marked: make(map[uint32]*ring)}, nil
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

// end ends every check. No ring is served any more when it returns.
func (s *session) end() {
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
