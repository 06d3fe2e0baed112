package tcp

// SupportsHalfOpen says whether checks withhold the last ACK, so that the application that listens never sees them. It
// does not change while the program runs.
//
// It is true for a program that was built for Linux or Android with cgo, and so stands on the library. Any other (built
// with CGO_ENABLED=0, for macOS, for Windows, or across with no C compiler) compiles as well, and makes the ordinary
// handshake by package net: the application accepts a connection that is reset at once. What cannot be had then says so
// by [*ErrLocal] with [syscall.ENOTSUP]; the package's documentation lists it.
func SupportsHalfOpen() bool { return supportsHalfOpen() }
