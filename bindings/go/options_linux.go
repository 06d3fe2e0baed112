//go:build !cgo || tcpshaker_go

package tcp

import "syscall"

const bindsInterface = true

// setOptions sets what a check asks for on its socket.
func setOptions(fd uintptr, link string, mark uint32) error {
	if mark != 0 {
		if err := syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_MARK, int(int32(mark))); err != nil {
			return err
		}
	}
	if link != "" {
		return syscall.BindToDevice(int(fd), link)
	}
	return nil
}
