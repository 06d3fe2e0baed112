package tcp_test

import (
	"net"
	"testing"
)

func BenchmarkCheckAddr(b *testing.B) {
	checker, addr := running(b), listen(b, "tcp4", "127.0.0.1").addr
	b.ResetTimer()
	for range b.N {
		if err := checker.CheckAddr(addr, patience); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDialTimeout(b *testing.B) {
	addr := listen(b, "tcp4", "127.0.0.1").addr
	b.ResetTimer()
	for range b.N {
		dial(b, addr)
	}
}

func BenchmarkCheckAddrBy500Goroutines(b *testing.B) {
	checker, addr := running(b), listen(b, "tcp4", "127.0.0.1").addr
	b.SetParallelism(250)
	b.ResetTimer()
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
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			dial(b, addr)
		}
	})
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
