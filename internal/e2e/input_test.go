package e2e

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// Bad bytes close their own connection and nobody else's. P7
func TestP7ClosedOnBadBytes(t *testing.T) {
	edge := startNode(t, []string{"edge", "--node", "edge-a"})
	sub, pub := dial(t, edge.addr(), "display"), dial(t, edge.addr(), "sensor")
	sub.subscribe("t", 1)
	connect5 := "\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc"
	bad := map[string]struct{ send, want string }{
		"garbage":              {"hello, is this a printer?\r\n\r\n", ""},
		"a TLS hello":          {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ""},
		"an HTTP request":      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		"not CONNECT first":    {"\xc0\x00", ""},
		"a second CONNECT":     {connect5 + connect5, "\xe0\x01\x82"},
		"a packet too large":   {connect5 + "\x30\xff\xff\xff\x7f", "\xe0\x01\x95"},
		"malformed length":     {connect5 + "\x30\xff\xff\xff\xff\xff", "\xe0\x01\x81"},
		"QoS 3":                {connect5 + "\x36\x05\x00\x01a\x00\x01", "\xe0\x01\x81"},
		"wildcard in a name":   {connect5 + "\x30\x04\x00\x01#\x00", "\xe0\x01\x81"},
		"reserved packet type": {connect5 + "\x00\x00", "\xe0\x01\x81"},
	}
	for name, b := range bad {
		got := exchange(t, edge.addr(), b.send)
		if b.want != "" && !hasDisconnect(got, b.want[2]) {
			t.Errorf("%s: got % x, want DISCONNECT with reason %#x", name, got, b.want[2])
		}
		pub.publish("t", name, 1, false)
		sub.want("others are unaffected", "t", name)
	}
	metrics := string(edge.get("/metrics"))
	if !strings.Contains(metrics, "mangrove_connections_closed_total{reason=") {
		t.Errorf("got no counter of closed connections by reason in /metrics")
	}
}

// hasDisconnect looks for a DISCONNECT packet with that reason at the end of what was received.
func hasDisconnect(b []byte, reason byte) bool {
	i := bytes.LastIndexByte(b, 0xe0)
	return i >= 0 && i+2 < len(b) && b[i+2] == reason
}

// exchange sends bytes and reads until the node closes the connection.
func exchange(t *testing.T, addr, send string) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(wait))
	if _, err := conn.Write([]byte(send)); err != nil {
		t.Fatalf("send %q: %v", send, err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(conn); err != nil && isTimeout(err) {
		t.Fatalf("%q: connection still open after %v", send, wait)
	}
	return got.Bytes()
}

func isTimeout(err error) bool {
	n, ok := err.(net.Error)
	return ok && n.Timeout()
}
