//go:build linux

package tcp_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// nameServer answers questions of a resolver of its own, on this host.
type nameServer struct {
	resolver *net.Resolver
	asked    atomic.Int64
}

// serveNames knows the addresses of some names, such as "two.test."; it never answers about a name without any.
func serveNames(t testing.TB, names map[string][]string) *nameServer {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	server := &nameServer{resolver: &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp4", socket.LocalAddr().String())
		},
	}}
	go func() {
		question := make([]byte, 512)
		for {
			length, asker, err := socket.ReadFrom(question)
			if err != nil {
				return
			}
			server.asked.Add(1)
			if reply := answer(question[:length], names); reply != nil {
				socket.WriteTo(reply, asker)
			}
		}
	}()
	return server
}

// answer is the reply to a question, as RFC 1035 has it; nil if there is to be none.
func answer(question []byte, names map[string][]string) []byte {
	const header = 12
	name, rest := "", question[header:]
	for rest[0] != 0 {
		length := rest[0] + 1
		name, rest = name+string(rest[1:length])+".", rest[length:]
	}
	kind := binary.BigEndian.Uint16(rest[1:])
	end := len(question) - len(rest) + 5 // its closing byte, its type and its class

	known, count, records := names[strings.ToLower(name)], uint16(0), []byte(nil)
	if known == nil {
		return nil
	}
	for _, text := range known {
		ip := netip.MustParseAddr(text)
		if ip.Is4() != (kind == 1) || ip.Is6() != (kind == 28) {
			continue
		}
		count++
		records = append(records, 0xc0, header) // the name of the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0) // Internet, and not to be kept
		records = binary.BigEndian.AppendUint16(records, uint16(ip.BitLen()/8))
		records = append(records, ip.AsSlice()...)
	}
	reply := append([]byte(nil), question[:2]...)
	reply = append(reply, 0x81, 0x80, 0, 1) // a reply, recursion desired and available; one question
	reply = binary.BigEndian.AppendUint16(reply, count)
	reply = append(reply, 0, 0, 0, 0)
	return append(append(reply, question[header:end]...), records...)
}
