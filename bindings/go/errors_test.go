package tcp

import (
	"errors"
	"syscall"
	"testing"
)

func TestMarkWhereSocketsHaveNoneIsNoVerdictAndNotSupported(t *testing.T) {
	err := verdict(StatusUnsupported, 0, "127.0.0.1:80")
	var local *ErrLocal
	if !errors.As(err, &local) || !errors.Is(err, syscall.ENOTSUP) || IsDown(err) {
		t.Errorf("%T: %v", err, err)
	}
}
