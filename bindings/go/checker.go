package tcp

import (
	"context"
	"math"
	"sync"
	"time"
)

// Checker checks TCP ports. It is safe for any number of goroutines, and one is enough for a process.
type Checker struct {
	config Config

	mu sync.Mutex
	// Closed while a CheckingLoop runs.
	ready chan struct{}
	// nil while no CheckingLoop runs.
	session *session
}

// NewChecker makes a Checker whose checks end with RST.
func NewChecker() *Checker { return NewCheckerZeroLinger(true) }

// NewCheckerZeroLinger makes a Checker whose checks end with RST, or else with FIN, so that the handshake completes.
func NewCheckerZeroLinger(zeroLinger bool) *Checker {
	return &Checker{config: Config{Linger: !zeroLinger}, ready: make(chan struct{})}
}

var (
	sharedMu sync.Mutex
	shared   = NewChecker()
)

// DefaultChecker returns the Checker of the process, which runs from the first call on. It installs no signal
// handler. Should the machine have no descriptors or threads for it, its checks return [ErrNotReady], and the next
// call tries again.
func DefaultChecker() *Checker {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if session, err := shared.start(); err == nil {
		go shared.run(context.Background(), session)
	}
	return shared
}

// CheckingLoop makes the Checker ready, and keeps it so until ctx ends; then it returns nil. Checks that have no
// verdict by then end with [ErrNotReady]. It may be called again after it has returned; while it runs, a second call
// returns [ErrCheckerAlreadyStarted].
//
// When it returns, no goroutine, descriptor or thread of the Checker is left.
func (c *Checker) CheckingLoop(ctx context.Context) error {
	if ctx == nil {
		return errNilContext
	}
	session, err := c.start()
	if err != nil {
		return err
	}
	return c.run(ctx, session)
}

func (c *Checker) start() (*session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session != nil {
		return nil, ErrCheckerAlreadyStarted
	}
	session, err := newSession(&c.config)
	if err != nil {
		return nil, err
	}
	c.session = session
	close(c.ready)
	return session, nil
}

func (c *Checker) run(ctx context.Context, session *session) error {
	defer context.AfterFunc(ctx, session.ring.stop)()
	err := session.ring.serve()
	c.mu.Lock()
	c.session, c.ready = nil, make(chan struct{})
	c.mu.Unlock()
	session.end()
	return err
}

// current is the session of the CheckingLoop that runs; nil if none does.
func (c *Checker) current() *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// WaitReady returns a channel that is closed when the Checker is ready.
func (c *Checker) WaitReady() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

// IsReady says whether a CheckingLoop runs.
func (c *Checker) IsReady() bool { return c.current() != nil }

// Engine returns the engine of the CheckingLoop that runs: [EngineSocket] or [EngineRaw]. While none runs it is the one
// that the [Config] names.
func (c *Checker) Engine() Engine {
	if session := c.current(); session != nil {
		return session.ring.engine
	}
	return c.config.Engine
}

// PollerFd returns the descriptor that is readable while results wait in the library, or -1 while no CheckingLoop
// runs. It is the library's: never read, write or close it.
func (c *Checker) PollerFd() int {
	if session := c.current(); session != nil {
		return session.ring.fd
	}
	return -1
}

// CheckAddr checks "host:port": nil means up, [ErrTimeout] and [*ErrConnect] mean down, and any other error is no
// verdict. The timeout includes the lookup of a name.
func (c *Checker) CheckAddr(addr string, timeout time.Duration) error {
	return c.CheckAddrZeroLinger(addr, timeout, !c.config.Linger)
}

// CheckAddrZeroLinger is CheckAddr that ends with RST, or else with FIN, whatever the Checker's own setting is.
func (c *Checker) CheckAddrZeroLinger(addr string, timeout time.Duration, zeroLinger bool) error {
	return c.CheckAddrWithOptions(addr, DefaultOptions().WithTimeout(timeout).WithZeroLinger(zeroLinger))
}

// CheckAddrWithOptions is CheckAddr with all that can be set.
func (c *Checker) CheckAddrWithOptions(addr string, opts Options) error {
	_, err := c.Check(context.Background(), addr, opts)
	return err
}

// CheckAddrContext is CheckAddr that takes its time from the context's deadline, or from [DefaultOptions] if there
// is none. At the deadline it returns [ErrTimeout]; ctx.Err() if the context is cancelled before, or was over when the
// call came.
func (c *Checker) CheckAddrContext(ctx context.Context, addr string) error {
	if ctx == nil {
		return errNilContext
	}
	opts := DefaultOptions().WithZeroLinger(!c.config.Linger)
	if _, ok := ctx.Deadline(); ok {
		opts.Timeout = math.MaxInt64
	}
	_, err := c.Check(ctx, addr, opts)
	return err
}

// Check makes one check, and returns all that it learned. It ends at the context's deadline or after opts.Timeout,
// whichever comes first, with [ErrTimeout], or with a [*net.DNSError] that is a timeout if a name was still being
// looked up; with ctx.Err() when the context is cancelled, or was over when the call came.
func (c *Checker) Check(ctx context.Context, addr string, opts Options) (Result, error) {
	began := time.Now()
	if ctx == nil {
		return Result{Status: StatusInvalid}, errNilContext
	}
	flags, mark, err := opts.native()
	if err != nil {
		return Result{Status: StatusInvalid}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{Status: StatusCancelled}, err
	}
	deadline := began.Add(opts.Timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
		if !began.Before(deadline) {
			// The context has yet to notice.
			return Result{Status: StatusCancelled}, context.DeadlineExceeded
		}
	}
	target, err := parse(addr)
	if err != nil {
		return Result{Status: StatusAddress}, err
	}
	session := c.current()
	if session == nil {
		return Result{Status: StatusClosed}, ErrNotReady
	}
	if opts.Timeout <= 0 {
		return Result{Status: StatusTimeout}, ErrTimeout
	}
	attempt := attempt{target, opts.Network, c.config.resolver(), flags, mark, began, deadline}
	return session.check(ctx, attempt)
}
