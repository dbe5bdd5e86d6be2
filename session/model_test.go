package session

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"

	"pgregory.net/rapid"
)

// modelClient is an MQTT client that keeps its state over connections, as [MQTT-4.1.0-1] wants.
type modelClient struct {
	got  [3][]string         // payloads by QoS, as the application sees them
	held map[uint16]struct{} // QoS 2 ids between PUBREC and PUBREL [MQTT-4.3.3-10]
	bad  string              // what the node did wrong

	sent  map[string]bool // messages that a connection was given
	maybe map[string]bool // those that were queued when the node died with a connection: DUP or not, both is right
}

func newModelClient() *modelClient {
	return &modelClient{held: map[uint16]struct{}{}, sent: map[string]bool{}, maybe: map[string]bool{}}
}

func modelKey(qos byte, payload string) string { return fmt.Sprint(qos, " ", payload) }

// check looks at DUP: set when a message was sent before, and only then. [MQTT-3.3.1-1]
func (c *modelClient) check(qos byte, payload string, dup bool) {
	key := modelKey(qos, payload)
	if dup != c.sent[key] && (!dup || !c.maybe[key]) {
		c.bad = fmt.Sprintf("QoS %d message %s: got DUP %v, sent before %v", qos, payload, dup, c.sent[key])
	}
	c.sent[key] = true
}

type modelPacket struct {
	kind    packet.Type
	id      uint16
	qos     byte
	payload string
	reason  packet.ReasonCode
}

// modelOutlet is one connection of it.
type modelOutlet struct {
	c    *modelClient
	late []modelPacket // acknowledgements that the client has not sent yet

	mu    sync.Mutex
	in    []modelPacket
	full  bool // the output buffer takes nothing
	inUse map[uint16]bool
}

func (o *modelOutlet) Publish(m *mqtt.Message, d mqtt.Delivery, id uint16, dup bool) mqtt.SendResult {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.full {
		return mqtt.Full
	}
	if o.inUse[id] { // [MQTT-2.2.1-4]; one connection never sends the same message twice
		o.c.bad = fmt.Sprintf("packet id %d is in use twice", id)
	}
	o.inUse[id] = true
	o.c.check(d.QoS, string(m.Payload), dup)
	o.in = append(o.in, modelPacket{packet.PUBLISH, id, d.QoS, string(m.Payload), 0})
	return mqtt.Sent
}

func (o *modelOutlet) Ack(kind packet.Type, id uint16, reason packet.ReasonCode) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.in = append(o.in, modelPacket{kind: kind, id: id, reason: reason})
}

func (o *modelOutlet) Close(packet.ReasonCode) {}

// next takes one packet off.
func (o *modelOutlet) next() (p modelPacket, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.in) == 0 {
		return p, false
	}
	p, o.in = o.in[0], o.in[1:]
	return p, true
}

func (o *modelOutlet) setFull(full bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.full = full
}

// handle does what a client does with a packet, and returns its answer.
func (c *modelClient) handle(p modelPacket) (answer modelPacket) {
	switch p.kind {
	case packet.PUBLISH:
		if p.qos == 1 {
			c.got[1] = append(c.got[1], p.payload)
			return modelPacket{kind: packet.PUBACK, id: p.id}
		}
		if _, repeat := c.held[p.id]; !repeat {
			c.got[2] = append(c.got[2], p.payload)
			c.held[p.id] = struct{}{}
		}
		return modelPacket{kind: packet.PUBREC, id: p.id}
	case packet.PUBREL:
		delete(c.held, p.id)
		return modelPacket{kind: packet.PUBCOMP, id: p.id}
	}
	panic(fmt.Sprint("unexpected packet type ", p.kind))
}

func (o *modelOutlet) answer(t tester, s *Session, a modelPacket) {
	o.mu.Lock()
	if a.kind != packet.PUBREC {
		delete(o.inUse, a.id)
	}
	o.mu.Unlock()
	if err := s.Acked(a.kind, a.id, 0); err != nil {
		t.Fatalf("answer %d to %d: %v", a.kind, a.id, err)
	}
}

// TestModel publishes, acknowledges, connects, disconnects, restarts and kills at random. Nothing that was
// acknowledged to a publisher is lost, QoS 2 comes exactly once, both come in order. [promises P1 P2 P3]
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { runModel(rt, t.TempDir) })
}

func runModel(rt *rapid.T, tempDir func() string) {
	n := &node{t: rt, tempDir: tempDir, dir: tempDir()}
	n.cfg.WindowMessages = rapid.IntRange(1, 6).Draw(rt, "window")
	n.cfg.AckDelay = rapid.SampledFrom([]time.Duration{time.Microsecond, time.Hour}).Draw(rt, "ack delay")
	n.start()
	defer func() { n.stop() }()
	c := newModelClient()
	var s *Session
	var out *modelOutlet
	var sent [3][]string

	connect := func(window int) {
		out = &modelOutlet{c: c, inUse: map[uint16]bool{}}
		got, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", Expiry: -1, ReceiveMaximum: uint16(window)}, out)
		if err != nil {
			rt.Fatal(err)
		}
		s = got.(*Session)
		s.Resume()
	}
	// lose ends the connection; the client may still read some of what was on its way, but its answers are lost.
	lose := func() {
		for range rapid.IntRange(0, 4).Draw(rt, "read before the end") {
			if out == nil {
				return
			}
			if p, ok := out.next(); ok {
				c.handle(p)
			}
		}
		out = nil
	}
	// crash ends the node with end; what it can have sent is not known then.
	crash := func(end func()) {
		connected := out != nil
		end()
		for qos, list := range sent {
			for _, payload := range list {
				c.maybe[modelKey(byte(qos), payload)] = connected || c.maybe[modelKey(byte(qos), payload)]
			}
		}
		lose()
	}
	connect(4)
	subscribe(rt, s, "qos1", 1)
	subscribe(rt, s, "qos2", 2)

	rt.Repeat(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "messages") {
				qos := rapid.SampledFrom([]byte{1, 2}).Draw(t, "qos")
				payload := fmt.Sprint(len(sent[qos]))
				n.mustSend(fmt.Sprint("qos", qos), qos, payload)
				sent[qos] = append(sent[qos], payload)
			}
		},
		"read": func(t *rapid.T) {
			if out == nil {
				t.Skip()
			}
			for range rapid.IntRange(1, 8).Draw(t, "packets") {
				p, ok := out.next()
				if !ok {
					return
				}
				a := c.handle(p)
				if p.qos == 1 && rapid.Bool().Draw(t, "late") {
					out.late = append(out.late, a)
				} else {
					out.answer(t, s, a)
				}
			}
		},
		"answer late": func(t *rapid.T) {
			if out == nil || len(out.late) == 0 {
				t.Skip()
			}
			i := rapid.IntRange(0, len(out.late)-1).Draw(t, "which")
			a := out.late[i]
			out.late = slices.Delete(out.late, i, i+1)
			out.answer(t, s, a)
		},
		"stop reading": func(t *rapid.T) {
			if out == nil {
				t.Skip()
			}
			out.setFull(true)
		},
		"go on reading": func(t *rapid.T) {
			if out == nil {
				t.Skip()
			}
			out.setFull(false)
			s.Resume()
		},
		"connect": func(t *rapid.T) { // a takeover, when there is a connection
			connect(rapid.IntRange(1, 8).Draw(t, "receive maximum"))
		},
		"disconnect": func(t *rapid.T) {
			if out == nil {
				t.Skip()
			}
			s.Detach(out, mqtt.DetachRequest{})
			lose()
		},
		"restart": func(t *rapid.T) { crash(n.restart) },
		"die":     func(t *rapid.T) { crash(n.die) },
	})

	connect(8)
	for end := time.Now().Add(10 * time.Second); s.info().Queued > 0; {
		if p, ok := out.next(); ok {
			out.answer(rt, s, c.handle(p))
		} else if time.Now().After(end) {
			rt.Fatalf("got stuck with %+v, %+v", s.info(), s.traffic)
		}
	}
	if s.Detach(out, mqtt.DetachRequest{}); c.bad != "" {
		rt.Fatal(c.bad)
	}
	n.wantAsleep("nothing is owed at the end", true)
	if !slices.Equal(c.got[2], sent[2]) {
		rt.Fatalf("QoS 2: got %v, want %v", c.got[2], sent[2])
	}
	if first := firsts(c.got[1]); !slices.Equal(first, sent[1]) {
		rt.Fatalf("QoS 1: got %v, want %v", first, sent[1])
	}
}

// firsts leaves the first of equal payloads.
func firsts(list []string) (out []string) {
	seen := map[string]bool{}
	for _, p := range list {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	return out
}
