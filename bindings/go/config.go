package tcp

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// An Engine puts a Checker's segments on the wire.
type Engine int32

const (
	// EngineSocket is the kernel's TCP, with a socket for each SYN. It needs no privilege.
	EngineSocket Engine = 0
	// EngineRaw is the library itself, on raw sockets. It needs CAP_NET_RAW, and Linux or Android. No handshake is ever
	// completed: checks that end with FIN are [*ErrLocal] with ENOTSUP.
	EngineRaw Engine = 1
	// EngineAuto is EngineRaw where this process may, else EngineSocket. It is EngineSocket, too, where Linger is set.
	EngineAuto Engine = 2
)

// String is the engine's name: socket, raw or auto.
func (e Engine) String() string {
	switch e {
	case EngineSocket:
		return "socket"
	case EngineRaw:
		return "raw"
	case EngineAuto:
		return "auto"
	}
	return fmt.Sprintf("Engine(%d)", int32(e))
}

// Config is what a [Checker] can be told when it is made. Its zero value has every default.
type Config struct {
	// Engine puts the segments on the wire. Without the privilege for EngineRaw, CheckingLoop returns [*ErrLocal] with
	// EPERM.
	Engine Engine
	// SynInterval is how long a check waits for an answer before it sends another SYN, in whole milliseconds: up to four
	// in all. 0 is 300 ms; less than 0 leaves it to the kernel, which sends its SYN again after a second.
	SynInterval time.Duration
	// Linger ends checks with FIN instead of RST, so that the handshake completes.
	Linger bool
	// Threads of the library share the checks. 0 is 1, which is enough for over a hundred thousand checks per second.
	Threads uint32
	// MaxInFlight is how many checks may be in flight at once; each holds a descriptor, and more wait their turn. 0
	// is half the soft limit on descriptors (RLIMIT_NOFILE), or with EngineRaw, which holds none, 262144.
	MaxInFlight uint32
	// MaxRate is how many checks may start per second; more wait their turn. 0 is no limit.
	MaxRate uint32
	// Sources are the addresses that checks come from, at most one of each family.
	Sources []netip.Addr
	// Interface is the name of the interface that checks leave through.
	Interface string
	// NetworkNamespace is the path of the network namespace that checks leave from, as "/run/netns/blue", which needs
	// CAP_SYS_ADMIN. Names are looked up by the Resolver, which knows nothing of it.
	NetworkNamespace string
	// Resolver looks names and services up. nil is [net.DefaultResolver].
	Resolver *net.Resolver
}

// NewCheckerWithConfig makes a Checker, or says which setting cannot be. Whether the machine has the sources and the
// interface is seen by each check.
func NewCheckerWithConfig(config Config) (*Checker, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.Sources = append([]netip.Addr(nil), config.Sources...)
	return &Checker{config: config, ready: make(chan struct{})}, nil
}

func (c *Config) resolver() *net.Resolver {
	if c.Resolver != nil {
		return c.Resolver
	}
	return net.DefaultResolver
}

// refused is the error for a setting that the library does not take.
func refused(setting string, value any, status Status) error {
	switch status {
	case StatusUp:
		return nil
	case StatusUnsupported:
		return &ErrLocal{syscall.ENOTSUP}
	}
	return fmt.Errorf("tcp: %s cannot be %v: %v", setting, value, status)
}
