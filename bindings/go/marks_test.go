//go:build linux

package tcp_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	tcp "github.com/tcpshaker/libtcpshaker/bindings/go"
)

// inNamespace starts the test again in a network of its own with an nftables table named tests, and says whether this is
// that one.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv("TCPSHAKER_IN_NAMESPACE") != "" {
		run(t, "", "ip", "link", "set", "lo", "up")
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root makes a network namespace")
	}
	for _, tool := range []string{"unshare", "ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("SKIPPED: ", err)
		}
	}
	if output, err := exec.Command("unshare", "-n", "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no network namespace is to be had here: %s", output)
	}
	child := exec.Command("unshare", "-n", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "TCPSHAKER_IN_NAMESPACE=1")
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
	return false
}

// run returns what a program says.
func run(t *testing.T, input, name string, arguments ...string) string {
	t.Helper()
	program := exec.Command(name, arguments...)
	program.Stdin = strings.NewReader(input)
	output, err := program.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, output)
	}
	return string(output)
}

// countSyns has the kernel count the SYNs to a listener by their mark, and returns what reads the count.
func countSyns(t *testing.T, addr string, marks ...uint32) func(mark uint32) int {
	_, port, _ := strings.Cut(addr, ":")
	rules := "table inet tests {\n"
	for _, mark := range marks {
		rules += fmt.Sprintf("counter mark%d {}\n", mark)
	}
	rules += "chain leaving { type filter hook output priority 0;\n"
	for _, mark := range marks {
		syn := "tcp dport " + port + " tcp flags & (syn | ack) == syn"
		rules += fmt.Sprintf("%s meta mark %d counter name mark%d\n", syn, mark, mark)
	}
	run(t, rules+"}\n}\n", "nft", "-f", "-")
	packets := regexp.MustCompile(`packets (\d+)`)
	return func(mark uint32) int {
		listing := run(t, "", "nft", "list", "counter", "inet", "tests", fmt.Sprintf("mark%d", mark))
		count, err := strconv.Atoi(packets.FindStringSubmatch(listing)[1])
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
}

func TestEachCheckLeavesWithItsOwnMark(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const highest = 1 << 31
	checker, target := running(t), listen(t, "tcp4", "127.0.0.1")
	syns := countSyns(t, target.addr, 0, 1, 2, highest)
	check := func(mark int) {
		if err := checker.CheckAddrWithOptions(target.addr, patient().WithMark(mark)); err != nil {
			t.Errorf("mark %d: %v", mark, err)
		}
	}
	for range 10 {
		for _, mark := range []int{1, 0, 2, 1, math.MinInt32} {
			check(mark)
		}
	}
	done := make(chan bool)
	const goroutines = 300
	for i := range goroutines {
		go func() {
			check(i % 3)
			done <- true
		}()
	}
	for range goroutines {
		<-done
	}
	for mark, expected := range map[uint32]int{0: 110, 1: 120, 2: 110, highest: 10} {
		if seen := syns(mark); seen != expected {
			t.Errorf("%d SYNs have the mark %d, not %d", seen, mark, expected)
		}
	}
}

func TestChecksOfAllMarksShareOneCheckerAndItsLimits(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const limit, checks = 3, 30
	checker, addr := configured(t, tcp.Config{MaxInFlight: limit}), silent(t)
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, checks)
	for i := range checks {
		go func() {
			_, err := checker.Check(ctx, addr, tcp.DefaultOptions().WithTimeout(time.Hour).WithMark(i))
			errs <- err
		}()
	}
	eventually(t, "checks", func() int { return checks - limit - int(checker.Stats().Queued) })
	if stats := checker.Stats(); stats.Submitted != checks || stats.InFlight != limit {
		t.Errorf("%+v", stats)
	}
	cancel()
	for range checks {
		<-errs
	}
}

// hasMarks says whether this process may set marks: by CAP_NET_ADMIN, or by CAP_NET_RAW where the kernel is new enough.
func hasMarks(t *testing.T) bool {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(socket)
	return syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_MARK, 1) == nil
}

// The consumer's script runs this without any privilege, too.
func TestMarkedCheckNeedsThePrivilege(t *testing.T) {
	checker, permitted := running(t), hasMarks(t)
	target := listen(t, "tcp4", "127.0.0.1")
	for _, mark := range []int{42, 42, -1} {
		result, err := checker.Check(context.Background(), target.addr, patient().WithMark(mark))
		if permitted {
			if err != nil || !result.Status.Up() {
				t.Errorf("%+v, %v", result, err)
			}
			continue
		}
		if err == nil || err.Error() != "operation not permitted" || !errors.Is(err, syscall.EPERM) ||
			result.Status != tcp.StatusUnsupported || tcp.IsDown(err) {
			t.Errorf("%+v, %v", result, err)
		}
	}
	if err := checker.CheckAddr(target.addr, patience); err != nil {
		t.Errorf("without a mark: %v", err)
	}
	if seen := accepted(t, target); seen != 0 && !permitted {
		t.Errorf("the target saw %d checks", seen)
	}
}

func TestMarkOfMoreThan32BitsIsAnError(t *testing.T) {
	if strconv.IntSize == 32 {
		t.Skip("SKIPPED: int has 32 bits on this machine")
	}
	checker, target := running(t), listen(t, "tcp4", "127.0.0.1")
	for _, mark := range []int64{1 << 32, 1<<32 + 1, math.MaxInt64, math.MinInt32 - 1} {
		result, err := checker.Check(context.Background(), target.addr, patient().WithMark(int(mark)))
		if err == nil || result.Status != tcp.StatusInvalid || tcp.IsDown(err) {
			t.Errorf("%#x: %+v, %v", mark, result, err)
		}
	}
	if stats := checker.Stats(); stats.Submitted != 0 {
		t.Errorf("%+v", stats)
	}
}
