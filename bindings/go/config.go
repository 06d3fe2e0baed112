package tcp

/*
#include <stdlib.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// An Engine puts a Checker's segments on the wire.
type Engine int32

const (
	// EngineSocket is the kernel's TCP, with a socket for each SYN. It needs no privilege.
	EngineSocket Engine = C.SHAKER_ENGINE_SOCKET
	// EngineRaw is the library itself, on raw sockets. It needs CAP_NET_RAW, and Linux or Android. No handshake is ever
	// completed: checks that end with FIN are [*ErrLocal] with ENOTSUP.
	EngineRaw Engine = C.SHAKER_ENGINE_RAW
	// EngineAuto is EngineRaw where this process may, else EngineSocket. It is EngineSocket, too, where Linger is set.
	EngineAuto Engine = C.SHAKER_ENGINE_AUTO
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
	native, err := config.native()
	if err != nil {
		return nil, err
	}
	C.shaker_config_free(native)
	config.Sources = append([]netip.Addr(nil), config.Sources...)
	return &Checker{config: config, ready: make(chan struct{})}, nil
}

func (c *Config) resolver() *net.Resolver {
	if c.Resolver != nil {
		return c.Resolver
	}
	return net.DefaultResolver
}

// native is the library's configuration, to be freed by the caller. No setting is left out in silence.
func (c *Config) native() (*C.shaker_config, error) {
	native := C.shaker_config_new()
	var err error
	set := func(setting string, value any, status C.shaker_status) {
		if err == nil {
			err = refused(setting, value, Status(status))
		}
	}
	// A text that C would read only in part must not be taken for another one. An empty one is no setting.
	setText := func(setting, value string, setter func(*C.char) C.shaker_status) {
		switch {
		case strings.IndexByte(value, 0) >= 0:
			set(setting, value, C.SHAKER_ERR_INVALID)
		case value != "":
			text := C.CString(value)
			defer C.free(unsafe.Pointer(text))
			set(setting, value, setter(text))
		}
	}
	engine := c.Engine
	if engine == EngineAuto && c.Linger {
		engine = EngineSocket // the library hears of Linger with each check only
	}
	set("Engine", c.Engine, C.shaker_config_set_engine(native, C.int32_t(engine)))
	if c.SynInterval > 0 {
		set("SynInterval", c.SynInterval, C.shaker_config_set_syn_interval(native, C.uint32_t(milliseconds(c.SynInterval))))
	} else if c.SynInterval < 0 {
		set("SynInterval", c.SynInterval, C.shaker_config_set_syn_interval(native, 0))
	}
	if c.Threads != 0 {
		set("Threads", c.Threads, C.shaker_config_set_threads(native, C.uint32_t(c.Threads)))
	}
	if c.MaxInFlight != 0 {
		set("MaxInFlight", c.MaxInFlight, C.shaker_config_set_max_in_flight(native, C.uint32_t(c.MaxInFlight)))
	}
	set("MaxRate", c.MaxRate, C.shaker_config_set_max_rate(native, C.uint32_t(c.MaxRate)))
	families := make(map[bool]bool)
	for _, source := range c.Sources {
		source = source.Unmap()
		if families[source.Is4()] {
			set("Sources", c.Sources, C.SHAKER_ERR_INVALID)
		}
		families[source.Is4()] = true
		setText("Sources", source.String(), func(text *C.char) C.shaker_status {
			return C.shaker_config_set_source(native, text)
		})
	}
	setText("Interface", c.Interface, func(text *C.char) C.shaker_status {
		return C.shaker_config_set_interface(native, text)
	})
	setText("NetworkNamespace", c.NetworkNamespace, func(text *C.char) C.shaker_status {
		return C.shaker_config_set_network_namespace(native, text)
	})
	if err != nil {
		C.shaker_config_free(native)
		return nil, err
	}
	return native, nil
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
