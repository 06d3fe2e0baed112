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
	"unsafe"
)

// Config is what a [Checker] can be told when it is made. Its zero value has every default.
type Config struct {
	// Linger ends checks with FIN instead of RST, so that the handshake completes.
	Linger bool
	// Threads of the library share the checks. 0 is 1, which is enough for over a hundred thousand checks per second.
	Threads uint32
	// MaxInFlight is how many checks may be in flight at once; each holds a descriptor, and more wait their turn. 0
	// is half the soft limit on descriptors (RLIMIT_NOFILE).
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
		text := C.CString(source.String())
		set("Sources", source, C.shaker_config_set_source(native, text))
		C.free(unsafe.Pointer(text))
	}
	if strings.IndexByte(c.Interface, 0) >= 0 {
		set("Interface", c.Interface, C.SHAKER_ERR_INVALID)
	} else if c.Interface != "" {
		text := C.CString(c.Interface)
		set("Interface", c.Interface, C.shaker_config_set_interface(native, text))
		C.free(unsafe.Pointer(text))
	}
	if strings.IndexByte(c.NetworkNamespace, 0) >= 0 {
		set("NetworkNamespace", c.NetworkNamespace, C.SHAKER_ERR_INVALID)
	} else if c.NetworkNamespace != "" {
		text := C.CString(c.NetworkNamespace)
		set("NetworkNamespace", c.NetworkNamespace, C.shaker_config_set_network_namespace(native, text))
		C.free(unsafe.Pointer(text))
	}
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
