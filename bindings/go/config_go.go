//go:build !cgo || !linux || tcpshaker_go

package tcp

import (
	"strings"
	"syscall"
)

// The longest name of an interface (IFNAMSIZ of Linux, without its NUL).
const longestInterface = 15

const maxThreads = 256

// validate says which setting cannot be: at all, as the library has it, or without the library.
func (c *Config) validate() error {
	invalid := func(setting string, value any) error { return refused(setting, value, StatusInvalid) }
	if c.Engine < EngineSocket || c.Engine > EngineAuto {
		return invalid("Engine", c.Engine)
	}
	if c.Threads > maxThreads {
		return invalid("Threads", c.Threads)
	}
	families := make(map[bool]bool)
	for _, source := range c.Sources {
		source = source.Unmap()
		if !source.IsValid() || source.IsMulticast() || source.String() == "255.255.255.255" {
			return invalid("Sources", source)
		}
		if families[source.Is4()] {
			return invalid("Sources", c.Sources)
		}
		families[source.Is4()] = true
	}
	if len(c.Interface) > longestInterface || strings.ContainsAny(c.Interface, "/: \t\n\x00") {
		return invalid("Interface", c.Interface)
	}
	if strings.IndexByte(c.NetworkNamespace, 0) >= 0 {
		return invalid("NetworkNamespace", c.NetworkNamespace)
	}
	if c.SynInterval > 0 || c.NetworkNamespace != "" || c.Interface != "" && !bindsInterface {
		return &ErrLocal{syscall.ENOTSUP}
	}
	return nil
}
