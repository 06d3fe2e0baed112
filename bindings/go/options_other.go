//go:build !linux

package tcp

import "syscall"

const bindsInterface = false

// setOptions sets what a check asks for on its socket: there are no marks here.
func setOptions(_ uintptr, _ string, mark uint32) error {
	if mark != 0 {
		return syscall.ENOTSUP
	}
	return nil
}
