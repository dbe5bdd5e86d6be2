package session

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"

	"pgregory.net/rapid"
)

// TestInboundModel is a client that publishes at QoS 2 through a node that dies and refuses at random. Each message is taken
// exactly once, unless the client was told that it was refused. [MQTT-4.3.3-10] [MQTT-4.3.3-12] [promise P2]
func TestInboundModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) { runInbound(rt, t.TempDir) })
}

// exchange is one QoS 2 PUBLISH as the client sees it.
type exchange struct {
	payload  string
	received bool // PUBREC came
}

func runInbound(rt *rapid.T, tempDir func() string) {
	n := &node{t: rt, tempDir: tempDir, dir: tempDir()}
	n.start()
	defer func() { n.stop() }()
	sink, out, _ := n.connect(mqtt.OpenRequest{ClientID: "sink", Expiry: -1})
	subscribe(rt, sink, "t", 2)
	sink.Detach(out, mqtt.DetachRequest{})

	open := map[uint16]*exchange{} // by packet id
	var accepted []string
	next := 0
	var s *Session
	var in *fakeOutlet
	connect := func() { s, in, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: -1}) }
	connect()

	// publish is the broker's part; stable says whether the node lives to see the commit.
	publish := func(id uint16, x *exchange, refuse error, stable bool) {
		b := n.newBatch()
		done := make(chan error, 1)
		r := mqtt.NewReceipt(b, func(err error) { done <- err })
		if !s.Take(id, r) {
			n.lend(&mqtt.Message{Topic: "t", Payload: []byte(x.payload), QoS: 2}, r)
		}
		if refuse != nil {
			r.Refuse(refuse)
		}
		r.Close()
		if !stable {
			return
		}
		n.cfg.Store.Commit(b)
		if err := <-done; err == nil {
			x.received = true
		} else if errors.Is(err, mqtt.ErrQuota) {
			delete(open, id) // refused: taken by the sink all the same, as the batch held it
			accepted = append(accepted, x.payload)
		} else {
			rt.Fatal(err)
		}
	}
	// finish sends PUBREL; the client may use id again after PUBCOMP.
	finish := func(id uint16) {
		ack(rt, s, packet.PUBREL, id)
		line := in.take(rt, 1)[0]
		if line != fmt.Sprint("PUBCOMP ", id) && line != fmt.Sprintf("PUBCOMP %d reason 0x92", id) {
			rt.Fatalf("got %q, want PUBCOMP %d", line, id)
		}
		accepted = append(accepted, open[id].payload)
		delete(open, id)
	}
	pick := func(t *rapid.T, received bool) (id uint16, ok bool) {
		var ids []uint16
		for id, x := range open {
			if x.received == received {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return 0, false
		}
		slices.Sort(ids)
		return rapid.SampledFrom(ids).Draw(t, "id"), true
	}
	// reconnect sends again what is open, as a client does.
	reconnect := func() {
		connect()
		for id := uint16(1); id <= 4; id++ {
			if x := open[id]; x != nil && !x.received {
				publish(id, x, nil, true)
			}
		}
	}
	rt.Repeat(map[string]func(*rapid.T){
		"publish": func(t *rapid.T) {
			id := rapid.Uint16Range(1, 4).Draw(t, "id")
			if open[id] != nil {
				t.Skip()
			}
			x := &exchange{payload: fmt.Sprint(next)}
			next++
			open[id] = x
			switch rapid.IntRange(0, 5).Draw(t, "how") {
			case 0:
				publish(id, x, mqtt.ErrQuota, true)
			case 1:
				publish(id, x, nil, false)
				n.die()
				reconnect()
			case 2: // PUBREC is lost
				publish(id, x, nil, true)
				x.received = false
				n.die()
				reconnect()
			default:
				publish(id, x, nil, true)
			}
		},
		"again": func(t *rapid.T) { // a repeat that was not needed
			if id, ok := pick(t, true); ok {
				publish(id, open[id], nil, true)
			}
		},
		"PUBREL": func(t *rapid.T) {
			if id, ok := pick(t, true); ok {
				finish(id)
			}
		},
		"PUBCOMP is lost": func(t *rapid.T) {
			if id, ok := pick(t, true); ok {
				ack(rt, s, packet.PUBREL, id)
				in.take(rt, 1)
				n.die()
				reconnect()
				finish(id)
			}
		},
		"restart": func(*rapid.T) { n.restart(); reconnect() },
		"die":     func(*rapid.T) { n.die(); reconnect() },
	})
	for id := range open {
		finish(id)
	}
	s.Detach(in, mqtt.DetachRequest{})
	n.wantAsleep("nothing is under way at the end", true)
	if rows := n.rows(batch.Received); rows > 0 {
		rt.Fatalf("got %d packet ids kept at the end, want 0", rows)
	}
	_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "sink", Expiry: -1})
	var got []string
	for _, line := range out.take(rt, len(accepted)) {
		var payload string
		fmt.Sscanf(line, "PUBLISH %s qos", &payload)
		got = append(got, payload)
	}
	out.idle(rt)
	slices.Sort(got)
	slices.Sort(accepted)
	if !slices.Equal(got, accepted) {
		rt.Fatalf("got %v, want %v", got, accepted)
	}
}

// PUBCOMP goes to the connection that asked last, and to none that did not.
func TestPUBCOMPIsForWhoAsked(t *testing.T) {
	for _, c := range []struct {
		name   string
		then   func(*inbound) // after PUBREL
		answer bool
	}{
		{"the same connection", func(*inbound) {}, true},
		{"asked twice", func(in *inbound) { in.pubrel(7) }, true},
		{"a connection that did not ask", (*inbound).detach, false},
		{"asked again from another", func(in *inbound) { in.detach(); in.pubrel(7) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in inbound
			in.take(7, nil)
			in.settle(7, true)
			in.pubrel(7)
			c.then(&in)
			if got := in.completed(7, true); got != c.answer || in.steps.Len() != 0 {
				t.Errorf("got answer %v with %d ids in use, want %v with none", got, in.steps.Len(), c.answer)
			}
			if got := in.completed(7, true); got {
				t.Error("got a second answer")
			}
		})
	}
}
