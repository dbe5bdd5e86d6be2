package bridge

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// Two nodes of one name at a plain broker end each other's connections: what each is up for is how long the other waits, and
// lets neither begin anew with short pauses.
func TestTwoOfOneNameAtAPlainBroker(t *testing.T) {
	b := &Bridge{cfg: Config{Node: "gw", Backoff: Backoff{Max: 30 * time.Second}}}
	eof, taken := fmt.Errorf("read from broker: %w", io.EOF), byte(packet.SessionTakenOver)
	for _, c := range []struct {
		up     time.Duration
		err    error
		reason byte
		told   bool
		lasted bool
	}{
		{0, eof, 0, false, false},
		{20 * time.Second, eof, 0, false, false},
		{20 * time.Second, errors.New("taken over"), taken, true, false},
		{20 * time.Second, errors.New("shutting down"), byte(packet.ServerShuttingDown), true, true},
		{20 * time.Second, errors.New("no answer"), 0, false, true},
		{time.Minute, eof, 0, false, true},
	} {
		o := outcome{up: c.up, err: c.err, closed: endedByBroker(c.err, c.reason, c.told)}
		if got := b.lasted(o); got != c.lasted {
			t.Errorf("up for %v, then %v (told %v): got lasted %v, want %v", c.up, c.err, c.told, got, c.lasted)
		}
	}
}

// A broker that ends connection after connection is told with what is the likely reason, by name.
func TestABrokerThatClosesAgainAndAgain(t *testing.T) {
	var log lockedLog
	b := newPlainBroker(t, packet.Properties{})
	a := newRemoteEdge(t, b, func(c *Config) {
		logged(&log)(c)
		c.Backoff = Backoff{Min: time.Millisecond, Max: time.Second}
	})
	for range closedAtOnce {
		b.accept().conn.Close()
	}
	eventually(t, "status tells it", func() bool { return strings.Contains(a.b.uplink.n.status().LastError, `"mangrove-a"`) })
	if got := log.count("does another node run under the name"); got != 1 {
		t.Errorf("told %d times, want once: %s", got, log.String())
	}
	b.accept()
}
