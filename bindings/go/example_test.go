package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

func Example() {
	server, _ := net.Listen("tcp", "127.0.0.1:0")
	defer server.Close()

	switch err := tcp.DefaultChecker().CheckAddr(server.Addr().String(), 10*time.Second); {
	case err == nil:
		fmt.Println("up")
	case tcp.IsDown(err):
		fmt.Println("down:", err)
	default:
		fmt.Println("don't know:", err)
	}
	// Output: up
}

func ExampleChecker() {
	server, _ := net.Listen("tcp", "127.0.0.1:0")
	defer server.Close()

	checker := tcp.NewChecker()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- checker.CheckingLoop(ctx) }()
	<-checker.WaitReady()

	fmt.Println(checker.CheckAddr(server.Addr().String(), 10*time.Second))
	stop()
	fmt.Println(<-ended, checker.IsReady())
	// Output:
	// <nil>
	// <nil> false
}

func ExampleChecker_Check() {
	server, _ := net.Listen("tcp", "127.0.0.1:0")
	defer server.Close()

	opts := tcp.DefaultOptions().WithTimeout(10 * time.Second).WithNetwork("tcp4")
	result, err := tcp.DefaultChecker().Check(context.Background(), server.Addr().String(), opts)
	fmt.Println(err, result.Status, result.RTT > 0, result.Address.String() == server.Addr().String())
	// Output: <nil> up true true
}

func ExampleChecker_CheckAddrContext() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := tcp.DefaultChecker().CheckAddrContext(ctx, "127.0.0.1:80")
	fmt.Println(err, tcp.IsDown(err))
	// Output: context canceled false
}

func ExampleErrConnect() {
	// Nobody listens on tcpmux.
	err := tcp.DefaultChecker().CheckAddr("127.0.0.1:1", 10*time.Second)
	fmt.Println(err, errors.Is(err, syscall.ECONNREFUSED), tcp.IsDown(err))
	// Output: connection refused true true
}

func ExampleChecker_Monitor() {
	server, _ := net.Listen("tcp", "127.0.0.1:0")
	defer server.Close()

	monitor, err := tcp.DefaultChecker().Monitor(tcp.MonitorConfig{MaxSpread: -1})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer monitor.Close()
	monitor.Add(tcp.Watch{Addr: server.Addr().String(), Interval: time.Second, UserData: "the server"})
	// With Go 1.23: for change := range monitor.Changes(ctx) { ... }
	monitor.Changes(context.Background())(func(change tcp.Change) bool {
		fmt.Println(change.UserData, change.From, change.To)
		return false
	})
	// Output: the server unknown up
}
