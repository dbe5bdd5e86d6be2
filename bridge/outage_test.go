package bridge

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// logged has a node log to log, at the level a node has by default.
func logged(log *lockedLog) func(*Config) {
	return func(c *Config) { c.Log = slog.New(slog.NewTextHandler(log, nil)) }
}

func (l *lockedLog) count(text string) int { return strings.Count(l.String(), text) }

// An uplink that does not come up is told once for each reason, and when it is up again with what waited.
func TestFailuresAreTold(t *testing.T) {
	var log lockedLog
	x := newCore(t, "x")
	a := newNode(t, RoleEdge, "a", logged(&log))
	x.setDeaf(true)
	a.dial(x)
	a.mustPublish("t", 1, "m0", "m1")
	eventually(t, "the edge has tried often", func() bool { return a.b.uplink.n.status().Attempts >= 5 })
	if got := log.count("link fails"); got < 1 || got > 3 { // how a refused connection ends is not always said in the same words
		t.Errorf("got %d warnings, want one for each reason: %s", got, log.String())
	}
	x.setDeaf(false)
	a.wantState("x", "up")
	a.drained("x")
	if !strings.Contains(log.String(), `msg="link up"`) || !strings.Contains(log.String(), "away=") || !strings.Contains(log.String(), "waiting=2") {
		t.Errorf("got %s, want how long it was away and what waits", log.String())
	}
	if s := a.status("x"); s.Attempts != 0 || s.LastError != "" {
		t.Errorf("got %+v, want nothing wrong", s)
	}
}

// Both ends tell that a name is taken, and neither fills its log.
func TestRefusedLinkIsToldAtBothEnds(t *testing.T) {
	var there, here lockedLog
	x := newNode(t, RoleCore, "x", logged(&there))
	newEdge(t, "a", x)
	x.wantState("a", "up")
	second := newNode(t, RoleEdge, "a", logged(&here))
	second.dial(x)
	eventually(t, "the second edge has tried often", func() bool { return second.b.uplink.n.status().Attempts >= 4 })
	for who, log := range map[string]*lockedLog{"core": &there, "edge": &here} {
		if got := log.count("is in use by another node"); got < 1 || got > 2 { // the link, and the twin
			t.Errorf("%s: got %d warnings, want 1 or 2: %s", who, got, log.String())
		}
	}
}

// What takes a link and ends it at once is dialled ever less often.
func TestLinksThatDoNotLastAreDialledLessOften(t *testing.T) {
	var log lockedLog
	b := newPlainBroker(t, packet.Properties{})
	a := newNode(t, RoleEdge, "a", func(c *Config) {
		logged(&log)(c)
		c.Protocol, c.Backoff = ProtocolMQTT, Backoff{Min: 10 * time.Millisecond, Max: time.Minute}
		c.Rand = func(n uint64) uint64 { return n - 1 }
	})
	began := time.Now()
	a.b.SetCores([]string{b.addr}, false)
	for range 6 {
		c := b.accept()
		c.send(&packet.Disconnect{Reason: packet.ServerShuttingDown})
		c.conn.Close()
	}
	if took := time.Since(began); took < (20+40+80+160+320)*time.Millisecond {
		t.Errorf("got six connections in %v, want pauses that double", took)
	}
	eventually(t, "the edge tells it", func() bool { return log.count("link fails") >= 1 })
	if a.b.lasted(outcome{}) || a.b.lasted(outcome{up: lasting - 1}) || !a.b.lasted(outcome{up: lasting}) {
		t.Errorf("what lasted: got %v, %v, %v, want false, false, true", a.b.lasted(outcome{}), a.b.lasted(outcome{up: lasting - 1}), a.b.lasted(outcome{up: lasting}))
	}
}

// A core that ends each link is asked twice, then another one is.
func TestAnotherCoreIsAskedWhenLinksDoNotLast(t *testing.T) {
	one, two := newPlainBroker(t, packet.Properties{}), newPlainBroker(t, packet.Properties{})
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.Protocol, c.Backoff.Max = ProtocolMQTT, time.Minute })
	a.b.SetCores([]string{one.addr, two.addr}, false)
	asked := map[*plainBroker]int{}
	for len(asked) < 2 {
		var c *plainConn
		select {
		case c = <-one.conns:
			asked[one]++
		case c = <-two.conns:
			asked[two]++
		case <-time.After(patience):
			t.Fatal("no connection came")
		}
		c.conn.Close()
	}
	if asked[one]+asked[two] != 3 {
		t.Errorf("got %d and %d connections, want two and one", asked[one], asked[two])
	}
}

func TestReasonsLeaveOutThisEndsPort(t *testing.T) {
	for port := range 2 {
		from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000 + port}
		err := fmt.Errorf("dial x: %w", &net.OpError{Op: "read", Net: "tcp", Source: from, Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1883}, Err: errors.New("reset")})
		if got, want := reasonText(err), "dial x: read tcp 127.0.0.1:1883: reset"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
