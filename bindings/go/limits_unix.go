//go:build unix && (!cgo || !linux || tcpshaker_go)

package tcp

import "syscall"

// descriptorLimit is how many descriptors this process may have.
func descriptorLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024
	}
	return uint64(limit.Cur)
}

// portable is an errno by the number that package syscall knows it by.
func portable(errno syscall.Errno) syscall.Errno { return errno }

// hasPeer says whether a socket is connected.
func hasPeer(fd uintptr) bool {
	_, err := syscall.Getpeername(int(fd))
	return err == nil
}
