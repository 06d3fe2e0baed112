// A program as people write them for tcp-shaker, whose main branch has CheckAddrWithOptions: it says of each address
// what became of its check. The test changes its import line, and nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	tcpshaker "github.com/tevino/tcp-shaker"
)

func main() {
	checker := tcpshaker.NewChecker()
	ctx, stopChecker := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := checker.CheckingLoop(ctx); err != nil {
			fmt.Println("the checking loop failed:", err)
		}
	}()
	<-checker.WaitReady()
	fmt.Println("ready:", checker.IsReady())
	if err := checker.CheckingLoop(ctx); errors.Is(err, tcpshaker.ErrCheckerAlreadyStarted) {
		fmt.Println("one loop is enough")
	}

	said := make([]string, len(os.Args)-1)
	var group sync.WaitGroup
	for i, addr := range os.Args[1:] {
		group.Add(1)
		go func(i int, addr string) {
			defer group.Done()
			said[i] = say(checker.CheckAddr(addr, 2*time.Second))
		}(i, addr)
	}
	group.Wait()
	for _, text := range said {
		fmt.Println(text)
	}

	opts := tcpshaker.DefaultOptions().WithTimeout(5 * time.Second).WithNetwork("tcp4").WithZeroLinger(true)
	fmt.Println("again:", say(tcpshaker.DefaultChecker().CheckAddrWithOptions(os.Args[1], opts)))
	linger := tcpshaker.NewCheckerZeroLinger(true)
	fmt.Println("not started, ready:", linger.IsReady())
	fmt.Println("once more:", say(checker.CheckAddrZeroLinger(os.Args[1], 5*time.Second, true)))

	none := tcpshaker.Options{Network: "tcp", ZeroLinger: true}
	fmt.Println("in no time:", say(checker.CheckAddrWithOptions(os.Args[3], none)))

	stopChecker()
	<-stopped
	fmt.Println("ready:", checker.IsReady())
}

func say(err error) string {
	switch err {
	case nil:
		return "connect succeeded"
	case tcpshaker.ErrTimeout:
		return "connect timed out"
	}
	var byValue tcpshaker.ErrConnect
	errors.As(err, &byValue)
	if connect, ok := err.(*tcpshaker.ErrConnect); ok {
		return fmt.Sprintf("connect failed: %v, refused: %v", connect, errors.Is(err, syscall.ECONNREFUSED))
	}
	return "error occurred while connecting"
}
