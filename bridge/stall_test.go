package bridge

import (
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// One PUBACK that never comes does not stop the uplink: the link is made anew, and all that waits goes up.
func TestOnePubackThatNeverComes(t *testing.T) {
	var answer packet.Properties
	answer.ReceiveMaximum = 2
	answer.Mark(packet.PropReceiveMaximum)
	b := newPlainBroker(t, answer)
	var log lockedLog
	a := newRemoteEdge(t, b, func(c *Config) {
		logged(&log)(c)
		c.AckPatience = 60 * time.Millisecond
	})
	c := b.accept()
	a.mustPublish("t", 1, "m0", "m1", "m2")
	c.wantPublish("m0")
	c.acknowledge(c.wantPublish("m1"), 0)
	for { // pings are answered
		if _, err := c.read(); err != nil {
			break
		}
	}
	c = b.accept()
	for _, m := range []string{"m0", "m1", "m2"} {
		c.acknowledge(c.wantPublish(m), 0)
	}
	a.drained("")
	if log.count(`did not acknowledge a message of topic \"t\"`) == 0 {
		t.Errorf("got %s, want the topic told", log.String())
	}
}

// stallWorld looks at one message every patience/looks.
type stallWorld struct {
	stall
	now   time.Time
	pings int
}

const testPatience = 30 * time.Second

// until looks until the message is stalled, at most for that long; the broker answers each ping after a while.
func (w *stallWorld) until(pos uint64, answers func(pings int) (pongs uint32), most time.Duration) (took time.Duration, stalled bool) {
	began := w.now
	for w.now.Sub(began) < most {
		ping, stalled := w.look(w.now, pos, answers(w.pings), testPatience)
		if stalled {
			return w.now.Sub(began), true
		}
		if ping {
			w.pings++
		}
		w.now = w.now.Add(testPatience / looks)
	}
	return 0, false
}

func TestStall(t *testing.T) {
	w := &stallWorld{now: time.Unix(1000, 0)}
	atOnce := func(pings int) uint32 { return uint32(pings) }
	never := func(int) uint32 { return 2 } // those before the message
	if took, stalled := w.until(7, never, time.Hour); stalled || w.pings != 1 {
		t.Errorf("a line so slow that no answer comes: stalled %v after %v, %d pings, want one ping, and nothing else", stalled, took, w.pings)
	}
	w = &stallWorld{now: time.Unix(1000, 0)}
	for i, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 16 * time.Minute, 16 * time.Minute} {
		if took, stalled := w.until(7, atOnce, time.Hour); !stalled || took != want {
			t.Errorf("time %d: stalled %v after %v, want it after %v", i, stalled, took, want)
		}
		w.begin()
	}
	if took, stalled := w.until(8, atOnce, time.Hour); !stalled || took != testPatience {
		t.Errorf("another message: stalled %v after %v, want it after %v", stalled, took, testPatience)
	}
	w.begin()
	if _, stalled := w.until(0, atOnce, time.Hour); stalled {
		t.Error("stalled with nothing on the way")
	}
}
