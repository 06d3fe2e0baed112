//go:build cgo && !tcpshaker_go

package tcp

import (
	"os"
	"syscall"
	"time"
)

// A readiness tells the runtime's poller that results wait in the library, but only while it is armed. A target on this
// machine has mostly answered when its check was submitted, and waking the poller's thread for it would cost as much as
// the check.
//
// It is an epoll instance that watches the library's descriptor, and disarms that when it tells (EPOLLONESHOT, epoll(7)).
type readiness struct {
	*os.File // what the poller watches
	epoll    int
	fd       int // the library's
	armed    bool
}

func newReadiness(fd int) (*readiness, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, &ErrLocal{err.(syscall.Errno)}
	}
	syscall.SetNonblock(epoll, true) // or the poller leaves it alone
	r := &readiness{File: os.NewFile(uintptr(epoll), "tcpshaker"), epoll: epoll, fd: fd}
	if err := syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{}); err != nil {
		r.Close()
		return nil, &ErrLocal{err.(syscall.Errno)}
	}
	// Fails if the poller does not watch the file.
	if err := r.SetReadDeadline(time.Time{}); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// arm has the next results told, and those that are there already.
func (r *readiness) arm() {
	if !r.armed {
		event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLONESHOT}
		r.armed = syscall.EpollCtl(r.epoll, syscall.EPOLL_CTL_MOD, r.fd, &event) == nil
	}
}

// takeTold takes the word that results wait, if it was given, and is then disarmed. A word that was not taken keeps the
// next one from being given.
func (r *readiness) takeTold() {
	var told [1]syscall.EpollEvent
	if count, _ := syscall.EpollWait(r.epoll, told[:], 0); count > 0 {
		r.armed = false
	}
}
