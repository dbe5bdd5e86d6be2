package bridge

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// A message that a plain broker will not take holds up nothing, whatever the broker says to it, and is told by its topic.
func TestOneMessageThatIsNotTaken(t *testing.T) {
	cases := []struct {
		name    string
		say     func(*plainConn, *packet.Publish)
		times   int  // it is sent
		taken   bool // in the end
		dropped uint64
	}{
		{"too large", puback(packet.PacketTooLarge), 1, false, 1},
		{"a code that lasts", puback(packet.ImplementationSpecificError), maxRefusals, false, 1},
		{"a code that passes", puback(packet.ImplementationSpecificError), 3, true, 0},
		{"no quota", puback(packet.QuotaExceeded), 2 * maxRefusals, true, 0},
		{"DISCONNECT", disconnect(packet.MalformedPacket), suspicious + maxRefusals, false, 1},
		{"DISCONNECT about the broker", disconnect(packet.ServerShuttingDown), 2 * maxRefusals, true, 0},
		{"end of the connection", func(c *plainConn, _ *packet.Publish) { c.conn.Close() }, 2 * maxRefusals, true, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var log lockedLog
			b := newPlainBroker(t, packet.Properties{})
			a := newRemoteEdge(t, b, func(cfg *Config) {
				cfg.RefuseRetry, cfg.Backoff.Max = 100*time.Microsecond, time.Millisecond
				cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			conn := b.accept()
			a.mustPublish("guilty", 1, "g")
			a.mustPublish("t", 1, numbered("m", 0, 5)...)
			conn = meet(b, conn, c.say, c.times, c.taken)
			if strings.HasPrefix(c.name, "DISCONNECT") && !c.taken {
				conn = b.accept()
			}
			for i := range 5 {
				conn.acknowledge(conn.wantPublish(fmt.Sprintf("m%d", i)), 0)
			}
			a.drained("")
			if got := a.reg.Drops()[dropRefused]; got != c.dropped {
				t.Errorf("got %d messages counted as refused, want %d", got, c.dropped)
			}
			if c.dropped > 0 && !strings.Contains(log.String(), "topic=guilty") {
				t.Errorf("got %s, want the topic", log.String())
			}
			if strings.Contains(log.String(), "topic=t ") {
				t.Errorf("got %s, want nothing about another topic", log.String())
			}
		})
	}
}

func puback(reason packet.ReasonCode) func(*plainConn, *packet.Publish) {
	return func(c *plainConn, p *packet.Publish) { c.acknowledge(p, reason) }
}

func disconnect(reason packet.ReasonCode) func(*plainConn, *packet.Publish) {
	return func(c *plainConn, _ *packet.Publish) {
		c.send(&packet.Disconnect{Reason: reason})
		c.conn.Close()
	}
}

// meet plays the broker until the guilty message was said something to so many times, and taken after that.
func meet(b *plainBroker, c *plainConn, say func(*plainConn, *packet.Publish), times int, taken bool) *plainConn {
	for range times {
		for {
			if p, err := c.read(); err != nil {
				c = b.accept()
			} else if p, ok := p.(*packet.Publish); ok && string(p.Payload) == "g" {
				say(c, p)
				break
			}
		}
	}
	if !taken {
		return c
	}
	for {
		if p, err := c.read(); err != nil {
			c = b.accept()
		} else if p, ok := p.(*packet.Publish); ok && string(p.Payload) == "g" {
			c.acknowledge(p, 0)
			return c
		}
	}
}

// What was refused is sent alone, so that what follows is not sent again with it; QoS 0 waits.
func TestSuspectIsSentAlone(t *testing.T) {
	b := newPlainBroker(t, packet.Properties{})
	a := newRemoteEdge(t, b, nil)
	c := b.accept()
	a.mustPublish("guilty", 1, "g")
	c.acknowledge(c.wantPublish("g"), packet.ImplementationSpecificError)
	a.mustPublish("t", 1, "m0", "m1")
	c = b.accept()
	p := c.wantPublish("g")
	a.mustPublish("t", 0, "volatile")
	c.conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if n, err := c.conn.Read(make([]byte, 1)); err == nil || len(c.buf) > 0 {
		t.Errorf("got %d bytes beside the message that was refused, want it alone", n+len(c.buf))
	}
	c.acknowledge(p, 0)
	for range 3 {
		if p := wantPacket[*packet.Publish](c, "what waited"); p.QoS == 1 {
			c.acknowledge(p, 0)
		}
	}
	a.drained("")
}

func TestCulprit(t *testing.T) {
	var c culprit
	if c.alone() || c.condemned(0) {
		t.Error("got a suspect, want none")
	}
	for range suspicious {
		if c.alone() {
			t.Error("got a suspect after fewer ends than it takes")
		}
		c.endedAt(7)
	}
	if !c.alone() || c.condemned(7) {
		t.Error("got no suspect, or one given up without a refusal")
	}
	c.endedAt(9)
	if c.alone() {
		t.Error("got a suspect, want it let go: another was first")
	}
	for i := range maxRefusals {
		pause, lasting := c.refusal(9, packet.UnspecifiedError, time.Second)
		if want := time.Second << min(i, maxDeferrals); lasting != (i == maxRefusals-1) || pause != want {
			t.Errorf("refusal %d: got %v, lasting %v, want %v", i+1, pause, lasting, want)
		}
	}
	if !c.condemned(9) || c.condemned(10) {
		t.Error("got another message given up than 9")
	}
	c.passed(8)
	if !c.alone() {
		t.Error("got it let go by what was before it")
	}
	c.passed(9)
	if c.alone() || c.condemned(9) {
		t.Error("got it kept in mind after it was done with")
	}
}
