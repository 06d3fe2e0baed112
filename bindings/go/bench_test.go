//go:build linux

package tcp_test

import (
	"net"
	"syscall"
	"testing"
)

func BenchmarkCheckAddr(b *testing.B) {
	checker, addr := running(b), listen(b, "tcp4", "127.0.0.1").addr
	defer reportProcessor(b)()
	for range b.N {
		if err := checker.CheckAddr(addr, patience); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDialTimeout(b *testing.B) {
	addr := listen(b, "tcp4", "127.0.0.1").addr
	defer reportProcessor(b)()
	for range b.N {
		dial(b, addr)
	}
}

func BenchmarkCheckAddrBy500Goroutines(b *testing.B) {
	checker, addr := running(b), listen(b, "tcp4", "127.0.0.1").addr
	b.SetParallelism(250)
	defer reportProcessor(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := checker.CheckAddr(addr, patience); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkDialTimeoutBy500Goroutines(b *testing.B) {
	addr := listen(b, "tcp4", "127.0.0.1").addr
	b.SetParallelism(250)
	defer reportProcessor(b)()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			dial(b, addr)
		}
	})
}

// reportProcessor begins a measurement, and returns what ends it: the processor's time of all threads, a check.
func reportProcessor(b *testing.B) (end func()) {
	began := processorMicroseconds(b)
	b.ResetTimer()
	return func() {
		b.StopTimer()
		b.ReportMetric((processorMicroseconds(b)-began)/float64(b.N), "cpu-us/op")
	}
}

func processorMicroseconds(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
}

// dial makes the ordinary check. Without zero linger it would run out of ports.
func dial(b *testing.B, addr string) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		b.Error(err)
		return
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}
