package bridge

import (
	"fmt"
	"testing"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// heavyClient stands for thousands of sessions: it writes much beside each message.
type heavyClient struct {
	testClient
	bytes   int
	largest int // batch, in bytes
}

func (c *heavyClient) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	c.testClient.Deliver(m, d, r)
	size := c.bytes
	if string(m.Payload) == "huge" {
		size = 61 << 20
	}
	r.Batch().Put(batch.Queues, fmt.Appendf(nil, "heavy/%d", len(c.got)), make([]byte, size))
	c.largest = max(c.largest, r.Batch().Size())
}

func newHeavyClient(n *node, bytes int) *heavyClient {
	c := &heavyClient{testClient: testClient{id: "heavy"}, bytes: bytes}
	n.router.Subscribe(c, mqtt.Subscription{Filter: "#", QoS: 1})
	return c
}

// What many sessions write beside the messages of one frame is more than a store takes at once.
func TestFrameForManySessions(t *testing.T) {
	x := newCore(t, "x")
	heavy := newHeavyClient(x, 4<<20)
	b := newEdge(t, "b")
	b.mustPublish("t", 1, numbered("m", 0, 8)...)
	b.dial(x)
	heavy.want(t, numbered("m", 0, 8)...)
	b.drained("x")
	if heavy.largest > enough+2<<20 {
		t.Errorf("a batch had %d bytes, want little more than %d", heavy.largest, enough)
	}
}

// A message that no store takes does not stop those behind it.
func TestMessageThatCannotBeKept(t *testing.T) {
	x := newCore(t, "x")
	heavy := newHeavyClient(x, 10)
	b := newEdge(t, "b", x)
	b.wantState("x", "up")
	b.mustPublish("t", 1, "huge")
	b.mustPublish("t", 1, numbered("m", 0, 3)...)
	b.drained("x")
	heavy.want(t, append([]string{"huge"}, numbered("m", 0, 3)...)...)
	if got := x.reg.Drops()[dropTooLarge]; got != 1 {
		t.Errorf("%d messages counted as too large, want 1", got)
	}
}
