//go:build cgo && linux && !tcpshaker_go

package tcp

/*
#include <tcpshaker.h>
*/
import "C"

import (
	"encoding/binary"
	"net/netip"
	"unsafe"
)

// put writes a shaker_address, a union that cgo knows as bytes only, and returns the length of what it holds.
func (e endpoint) put(address *C.shaker_address) C.socklen_t {
	*address = C.shaker_address{}
	if e.ip.Is4() {
		in := (*C.struct_sockaddr_in)(unsafe.Pointer(address))
		in.sin_family = C.AF_INET
		*(*[4]byte)(unsafe.Pointer(&in.sin_addr)) = e.ip.As4()
		binary.BigEndian.PutUint16(portBytes(&in.sin_port), e.port)
		return C.sizeof_struct_sockaddr_in
	}
	in6 := (*C.struct_sockaddr_in6)(unsafe.Pointer(address))
	in6.sin6_family = C.AF_INET6
	*(*[16]byte)(unsafe.Pointer(&in6.sin6_addr)) = e.ip.As16()
	binary.BigEndian.PutUint16(portBytes(&in6.sin6_port), e.port)
	in6.sin6_scope_id = C.uint32_t(e.scope)
	return C.sizeof_struct_sockaddr_in6
}

// addrPort reads a shaker_address.
func addrPort(address unsafe.Pointer) netip.AddrPort {
	switch (*C.struct_sockaddr)(address).sa_family {
	case C.AF_INET:
		in := (*C.struct_sockaddr_in)(address)
		ip := netip.AddrFrom4(*(*[4]byte)(unsafe.Pointer(&in.sin_addr)))
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(portBytes(&in.sin_port)))
	case C.AF_INET6:
		in6 := (*C.struct_sockaddr_in6)(address)
		ip := netip.AddrFrom16(*(*[16]byte)(unsafe.Pointer(&in6.sin6_addr)))
		ip = ip.WithZone(zone(int(in6.sin6_scope_id)))
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(portBytes(&in6.sin6_port)))
	}
	return netip.AddrPort{}
}

// portBytes are a port in network order.
func portBytes(port *C.in_port_t) []byte { return (*[2]byte)(unsafe.Pointer(port))[:] }
