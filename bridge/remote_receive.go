package bridge

import (
	"errors"
	"fmt"

	"mangrove/bridge/seen"
	"mangrove/internal/batch"
	"mangrove/internal/hlc"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// remoteIn is one QoS 1 message from a broker while it is being kept. The link's mu guards waiting and err.
type remoteIn struct {
	l       *remoteLink
	id      uint16
	epoch   uint64 // of the seen marks, when the message came
	origin  mqtt.Origin
	marked  bool
	touched seen.Touched
	waiting int
	err     error
}

// take takes a message that came in. Called by one goroutine, paho's.
func (l *remoteLink) take(m *mqtt.Message, id uint16, sub uint32) {
	if <-l.decided; !l.kept {
		return
	}
	l.b.metrics.bytesIn.Add(m.Size())
	if m.Version != 0 && !l.b.plausible(m.Version) {
		m.Version = 0 // it gets one here
	}
	m.From = mqtt.Source{Scope: l.n.scope, Name: l.n.name}
	if id == 0 {
		l.takeVolatile(m, sub)
		return
	}
	in := &remoteIn{l: l, id: id, epoch: l.b.seen.Epoch(), origin: m.Origin, waiting: 1}
	if !l.expect(in) {
		return
	}
	writes := l.b.cfg.Store.NewBatch()
	writes.SetOwed()
	if l.admits(m, sub) {
		if err := in.publish(m, writes); err != nil {
			in.refuse(err)
			l.fail(fmt.Errorf("message refused: %w", err), l.b.cfg.RefuseRetry)
		}
	}
	l.b.seen.Write(in.touched, writes)
	writes.Notify(in, 0)
	l.b.cfg.Store.Commit(writes)
}

// expect puts in behind those that are being kept; false when the link is ending: what comes then will be sent
// again. A broker that exceeds our Receive Maximum is left [MQTT-3.3.4-9].
func (l *remoteLink) expect(in *remoteIn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaving {
		return false
	}
	if len(l.inbound)+len(l.acks) >= l.b.cfg.Window {
		l.failLocked(errors.New("broker sends more than Receive Maximum allows"), 0)
		return false
	}
	l.inbound = append(l.inbound, in)
	return true
}

// admits tells whether m may come in; what may not is counted, and acknowledged like the rest.
func (l *remoteLink) admits(m *mqtt.Message, sub uint32) bool {
	err := topic.CheckName(m.Topic, topic.MaxLength)
	switch {
	case err != nil || !topic.MayPublish(m.Topic, topic.Link):
		l.log.Warn("message from broker may not come in", "topic", m.Topic, "error", err)
		l.b.metrics.dropped(dropInvalid, 1)
	case l.b.owns(m.Origin.Life) && !l.b.misses(m) || l.copies.Repeat(m, sub):
		l.repeated()
	default:
		return true
	}
	return false
}

// plausible tells whether a version that others at the broker could have made up may be gone by.
func (b *Bridge) plausible(v hlc.Time) bool {
	return b.cfg.Retained != nil && v.Milli() <= b.cfg.Retained.Clock()+hlc.Ahead.Milliseconds()
}

// misses tells that m is a retained message that is not held here, nor a newer one: the node was restored, or has let go of it.
func (b *Bridge) misses(m *mqtt.Message) bool {
	return m.Retain && m.Version != 0 && b.cfg.Retained != nil && b.cfg.Retained.Wants(m.Topic, mqtt.VersionOf(m))
}

func (l *remoteLink) repeated() {
	l.n.repeats.Add(1)
	l.b.metrics.repeats.Inc()
}

func (l *remoteLink) takeVolatile(m *mqtt.Message, sub uint32) {
	if !l.admits(m, sub) {
		return
	}
	writes := l.b.cfg.Store.NewBatch()
	r := mqtt.NewReceipt(writes, nil)
	retain := m.Retain
	l.b.cfg.Router.Publish(m, r)
	l.n.countReceived(r.Taken() > 0 || retain)
	r.Close()
	l.b.cfg.Store.Commit(writes)
}

// publish publishes m here, unless it was already. A message without origin is always new: it gets one here.
func (in *remoteIn) publish(m *mqtt.Message, writes *batch.Batch) (refused error) {
	b := in.l.b
	if in.origin.Life != 0 {
		if in.marked = b.seen.Mark(in.origin, &in.touched, writes); !in.marked && !b.misses(m) || b.holds(m) {
			in.l.repeated()
			return nil
		}
	}
	in.l.mu.Lock()
	in.waiting++
	in.l.mu.Unlock()
	r, retain := mqtt.NewReceipt(writes, in.release), m.Retain
	b.cfg.Router.Publish(m, r)
	writes.SetSlack(r.Slack())
	if refused = r.Err(); refused == nil {
		in.l.n.countReceived(r.Taken() > 0 || retain)
	} else if in.marked {
		b.seen.Unmark(in.origin, &in.touched)
		in.marked = false
	}
	r.Close()
	return refused
}

// refuse keeps in from being acknowledged.
func (in *remoteIn) refuse(err error) {
	in.l.mu.Lock()
	in.err = err
	in.l.mu.Unlock()
}

// Committed implements batch.Waiter.
func (in *remoteIn) Committed(_ uint64, err error) {
	in.l.b.seen.Settle(in.touched, err)
	in.release(err)
}

// release ends one wait; with the last one the message is kept, or is not.
func (in *remoteIn) release(err error) {
	l := in.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.waiting--; err != nil && in.err == nil {
		in.err = err
	}
	if in.waiting > 0 {
		return
	}
	if errors.Is(in.err, store.ErrTooLarge) { // it would come again and again
		l.log.Error("message from broker cannot be kept", "reason", dropTooLarge, "error", in.err)
		l.b.metrics.dropped(dropTooLarge, 1)
		in.err = nil
	} else if in.err != nil && in.marked {
		l.b.forget([]mqtt.Origin{in.origin})
	} else if in.err == nil && in.epoch != l.b.seen.Epoch() {
		in.err = errors.New("a message seen before was not kept")
	}
	l.settleLocked()
}

// settleLocked lets the messages at the front that are kept be acknowledged. Behind one that is not, none is: the
// broker sends them again, to the next connection [MQTT-4.4.0-1].
func (l *remoteLink) settleLocked() {
	for len(l.inbound) > 0 && l.inbound[0].waiting == 0 {
		in := l.inbound[0]
		if in.err != nil {
			l.failLocked(fmt.Errorf("message not kept: %w", in.err), l.b.cfg.RefuseRetry)
			return
		}
		l.inbound = l.inbound[1:]
		l.acks = append(l.acks, in.id)
	}
	l.kick()
}
