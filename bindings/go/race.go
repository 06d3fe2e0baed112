package tcp

import (
	"context"
	"syscall"
	"time"
)

// attemptDelay is how long the next address waits for an answer of the one before it (RFC 8305, section 5: Connection
// Attempt Delay).
const attemptDelay = 250 * time.Millisecond

// saysNothing says whether silence for so long, at the end of the whole time of a check, says nothing of its target:
// this program asked so late that a live one may have had no time for its answer.
func saysNothing(silence, whole time.Duration) bool {
	return silence < min(300*time.Millisecond, whole/2)
}

// A check on its way through a ring.
type check struct {
	endpoint  endpoint
	timeoutMS uint32
	flags     uint32
	mark      uint32
	key       uintptr // the ring's own
	id        uint64  // the library's, once it was told
	result    Result
	errno     int32         // behind the result
	asked     time.Time     // when its SYN left, or a little earlier; kept without the library alone
	done      chan<- *check // has room for it
}

// race checks the addresses of a target as the library does those of a name: in their order, the next one as soon as
// one fails or has had no answer for attemptDelay. It returns the check that found its address up; if none did, the one
// that [outcome] chooses; and nil when ctx was cancelled.
func (r *ring) race(ctx context.Context, addresses []endpoint, deadline time.Time, flags, mark uint32) *check {
	checks := make([]*check, 0, len(addresses))
	done := make(chan *check, len(addresses))
	running := 0
	start := func() {
		c := &check{
			endpoint: addresses[len(checks)], timeoutMS: milliseconds(time.Until(deadline)),
			flags: flags, mark: mark, done: done,
		}
		checks = append(checks, c)
		running++
		r.submit(c)
	}
	defer func() {
		if running > 0 {
			r.cancel(checks)
		}
	}()

	more := func() bool { return len(checks) < len(addresses) && time.Now().Before(deadline) }
	cancelled := ctx.Done()
	start()
	for {
		var late <-chan time.Time
		if more() {
			late = time.After(attemptDelay)
		}
		select {
		case c := <-done:
			running--
			if status := c.result.Status; status == StatusUp || status == StatusClosed {
				return c
			}
			if more() {
				start()
			} else if running == 0 {
				return outcome(checks)
			}
		case <-late:
			if more() {
				start()
			}
		case <-cancelled:
			if ctx.Err() != context.DeadlineExceeded {
				return nil
			}
			// The deadline is the checks' own too, and their verdicts are on the way.
			cancelled = nil
		}
	}
}

// outcome is what is said of a target none of whose addresses answered: what came of the first one. But one that this
// machine could not ask may be the one that is alive, and then there is no verdict. Only where this machine lacks the
// whole family, it goes by the others.
func outcome(checks []*check) *check {
	first := checks[0]
	lacking := func(c *check) bool {
		return c.result.Status == StatusLocal && syscall.Errno(c.errno) == syscall.EAFNOSUPPORT
	}
	for _, c := range checks {
		if lacking(c) {
			continue
		}
		if c.result.Status < 0 {
			return c
		}
		if lacking(first) {
			first = c
		}
	}
	return first
}
