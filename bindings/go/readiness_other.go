//go:build !linux

package tcp

import (
	"os"
	"syscall"
	"time"
)

// A readiness tells the runtime's poller that results wait in the library: it is a copy of the library's descriptor.
type readiness struct {
	*os.File // what the poller watches
}

func newReadiness(fd int) (*readiness, error) {
	syscall.ForkLock.RLock()
	copied, err := syscall.Dup(fd)
	if err == nil {
		syscall.CloseOnExec(copied)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, &ErrLocal{err.(syscall.Errno)}
	}
	r := &readiness{os.NewFile(uintptr(copied), "tcpshaker")}
	// Fails if the poller does not watch the file.
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *readiness) arm() {}

func (r *readiness) takeTold() {}
