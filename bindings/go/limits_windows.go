package tcp

import "syscall"

// descriptorLimit is how many descriptors this process may have; Windows sets none that matters.
func descriptorLimit() uint64 { return 1 << 15 }

// The errors of Winsock (Windows Sockets Error Codes), by the names under which package syscall has numbers of its own
// for them on Windows: errors.Is finds those.
var portables = map[syscall.Errno]syscall.Errno{
	10013: syscall.EACCES,
	10024: syscall.EMFILE,
	10048: syscall.EADDRINUSE,
	10049: syscall.EADDRNOTAVAIL,
	10050: syscall.ENETDOWN,
	10051: syscall.ENETUNREACH,
	10053: syscall.ECONNABORTED,
	10054: syscall.ECONNRESET,
	10055: syscall.ENOBUFS,
	10060: syscall.ETIMEDOUT,
	10061: syscall.ECONNREFUSED,
	10064: syscall.EHOSTDOWN,
	10065: syscall.EHOSTUNREACH,
}

// portable is an errno by the number that package syscall knows it by.
func portable(errno syscall.Errno) syscall.Errno {
	if known, ok := portables[errno]; ok {
		return known
	}
	return errno
}

// hasPeer says whether a socket is connected.
func hasPeer(fd uintptr) bool {
	_, err := syscall.Getpeername(syscall.Handle(fd))
	return err == nil
}
