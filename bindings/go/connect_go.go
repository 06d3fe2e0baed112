//go:build !cgo || !linux || tcpshaker_go

package tcp

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// descriptorPause is how long a check waits that found no descriptor, before it looks again.
const descriptorPause = 5 * time.Millisecond

// connect makes an ordinary handshake, and ends it. Without a free descriptor it waits for one.
func (r *ring) connect(ctx context.Context, c *check) {
	lack := int32(0)
	for {
		r.connectOnce(ctx, c)
		errno := syscall.Errno(c.errno)
		if c.result.Status == StatusLocal && (errno == syscall.EMFILE || errno == syscall.ENFILE) {
			lack = c.errno
			if pause(ctx, descriptorPause) {
				continue
			}
			c.result.Status = StatusBusy
		}
		if c.result.Status == StatusBusy {
			c.errno = lack
		}
		return
	}
}

func (r *ring) connectOnce(ctx context.Context, c *check) {
	address := netAddrOf(c.endpoint)
	c.asked = time.Time{}
	var refusal error // of an option
	var opened atomic.Value
	// Package net gives up at a deadline without a look at the socket, where the answer may be, and this program be late.
	dialing, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	defer context.AfterFunc(ctx, func() {
		if socket, ok := opened.Load().(syscall.RawConn); !ok || ctx.Err() == context.Canceled || !isAnswered(socket) {
			giveUp()
		}
	})()
	dialer := net.Dialer{
		KeepAlive: -1,
		LocalAddr: r.config.source(c.endpoint.ip.Is4()),
		Control: func(_, _ string, socket syscall.RawConn) error {
			err := socket.Control(func(fd uintptr) { refusal = setOptions(fd, r.config.Interface, c.mark) })
			c.asked = time.Now()
			opened.Store(socket)
			return errors.Join(err, refusal)
		},
	}
	dialer.SetMultipathTCP(false)
	network := "tcp6"
	if c.endpoint.ip.Is4() {
		network = "tcp4"
	}
	conn, err := dialer.DialContext(dialing, network, address.String())
	c.result, c.errno = Result{}, 0
	c.result.Address = address.AddrPort()
	if err == nil {
		c.result.RTT = max(time.Since(c.asked), 1)
		// The socket met itself: nobody listens there.
		if conn.LocalAddr().String() == conn.RemoteAddr().String() {
			c.result.Status, c.result.RTT = StatusRefused, 0
		}
		if c.flags&linger == 0 {
			conn.(*net.TCPConn).SetLinger(0)
		}
		conn.Close()
		return
	}
	var errno syscall.Errno
	switch {
	case errors.As(refusal, &errno):
		c.result.Status = StatusLocal
		if c.mark != 0 && (errno == syscall.EPERM || errno == syscall.ENOTSUP) {
			c.result.Status = StatusUnsupported
		}
	case errors.As(err, &errno):
		errno = portable(errno)
		c.result.Status = statusOfConnect(errno)
	case ctx.Err() != nil:
		c.result.Status = StatusTimeout
		if c.asked.IsZero() {
			c.result.Status = StatusBusy // nothing was sent
		}
	default:
		c.result.Status = StatusInternal
	}
	c.errno = int32(errno)
}

// isAnswered says whether the handshake of a socket is complete.
func isAnswered(socket syscall.RawConn) (answered bool) {
	socket.Control(func(fd uintptr) { answered = hasPeer(fd) })
	return answered
}

// netAddrOf is an endpoint as package net has it.
func netAddrOf(e endpoint) *net.TCPAddr {
	return &net.TCPAddr{IP: e.ip.AsSlice(), Port: int(e.port), Zone: zone(int(e.scope))}
}

// source is where checks of a family come from; nil if that is not set.
func (c *Config) source(is4 bool) net.Addr {
	for _, source := range c.Sources {
		if source = source.Unmap(); source.Is4() == is4 {
			return &net.TCPAddr{IP: source.AsSlice(), Zone: source.Zone()}
		}
	}
	return nil
}

// statusOfConnect is what an errno of connect(2) says of the target.
func statusOfConnect(errno syscall.Errno) Status {
	switch errno {
	case syscall.ECONNREFUSED:
		return StatusRefused
	case syscall.ETIMEDOUT:
		return StatusTimeout
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.ENOPROTOOPT:
		return StatusUnreachable
	case syscall.ECONNRESET, syscall.ECONNABORTED:
		return StatusUp // the SYN-ACK had come
	}
	return StatusLocal
}
