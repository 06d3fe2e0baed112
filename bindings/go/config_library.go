//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <stdlib.h>
#include <tcpshaker.h>
*/
import "C"

import (
	"strings"
	"unsafe"
)

func (c *Config) validate() error {
	native, err := c.native()
	if err == nil {
		C.shaker_config_free(native)
	}
	return err
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
