package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/reconcile"
	"mangrove/bridge/seen"
	"mangrove/internal/batch"
	"mangrove/internal/hlc"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// enough is how much the takers of a frame's messages write together: thousands of sessions may write beside each message, and
// a store bounds what it takes at once. A frame that comes to more goes in several batches.
const enough = 4 << 20

// inbound is one DATA frame of the durable lane, or a part of it, while it is being kept.
//
//	items ─ seen? ─ Router.Publish ─┐
//	                marks ──────────┴─ one batch ─ stable, and every receipt done ─ acknowledge
//
// Frames are acknowledged in the order they came. The link's mu guards it.
type inbound struct {
	l       *link
	last    uint64 // position to acknowledge
	came    time.Duration
	items   int
	epoch   uint64 // of the seen marks, when the frame came
	marks   []mqtt.Origin
	touched seen.Touched
	slack   batch.Slack // the least of what was written
	waiting int
	err     error
}

func (l *link) handleData(body []byte) error {
	l.b.metrics.bytesIn.Add(len(body))
	f, err := frame.DecodeData(body, l.b.compressor)
	if err != nil {
		return err
	}
	return l.takeData(f)
}

// takeData takes what is in a DATA frame.
func (l *link) takeData(f frame.Data) error {
	if f.Lane != frame.LaneDurable {
		l.takeVolatile(f)
		return nil
	}
	if l.n.scope == mqtt.ScopeEdge && l.b.isSettling() {
		l.refuse(errSettling)
		return nil
	}
	for last, first := uint64(0), true; first || len(f.Items) > 0; first = false {
		in := &inbound{l: l, came: l.came, last: last, epoch: l.b.seen.Epoch(), slack: batch.Unsynced, waiting: 1}
		if err := l.expectFrame(in, len(f.Items)); err != nil {
			return err
		}
		writes := l.b.cfg.Store.NewBatch()
		writes.SetOwed()
		var refused error
		f.Items, refused = l.takeDurable(f, in, writes)
		last = in.last
		writes.SetSlack(in.slack)
		writes.Notify(in, 0)
		l.b.cfg.Store.Commit(writes)
		if refused != nil {
			l.refuse(refused)
			return nil
		}
	}
	return nil
}

// refuse ends the link because of a message that is to be sent again later.
func (l *link) refuse(why error) {
	text := "message refused: " + why.Error()
	l.fail(errors.New(text), &frame.Goaway{Code: frame.GoawayRefused, Retry: l.b.cfg.RefuseRetry, Text: text})
}

// expectFrame puts in behind the frames that are being kept. It bounds those that a neighbour may have on the way: as many
// as its window has messages.
func (l *link) expectFrame(in *inbound, items int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if items == 0 || len(l.inbound) > l.b.cfg.Window {
		return fmt.Errorf("data frame of %d messages with %d frames on the way", items, len(l.inbound))
	}
	l.inbound = append(l.inbound, in)
	return nil
}

// takeDurable takes the items in until one is refused, or what their takers write is enough for one batch. It returns those that are
// left.
func (l *link) takeDurable(f frame.Data, in *inbound, writes *batch.Batch) (left []frame.Item, refused error) {
	for left = f.Items; len(left) > 0 && refused == nil && writes.Size() < enough; {
		it := left[0]
		switch {
		case it.Kind == frame.ItemControl:
			in.slack = batch.Synced
			l.b.control(l.n, it.Body, writes)
		case it.Kind > frame.ItemHealed:
		case f.Edge != "":
			in.slack = batch.Synced
			l.b.takeFor(f.Edge, it, writes)
			l.n.countReceived(true)
		default:
			refused = l.takeOne(it, in, writes)
		}
		if refused == nil {
			in.last, left = it.Position, left[1:]
			in.items++
		}
	}
	l.b.seen.Write(in.touched, writes)
	return left, refused
}

// takeOne publishes one message here, unless it was already.
func (l *link) takeOne(it frame.Item, in *inbound, writes *batch.Batch) (refused error) {
	m := l.decode(it)
	if m == nil {
		return nil
	}
	if it.Kind == frame.ItemHealed {
		return l.takeHealed(m, in, writes)
	}
	if m.Retain && l.n.scope == mqtt.ScopeEdge && len(m.Payload) > 0 && l.mayHeal() {
		l.b.holders.add(reconcile.KeyOf(m.Topic), l.n)
	}
	fresh := l.b.seen.Mark(m.Origin, &in.touched, writes)
	if m.Replay {
		fresh = l.b.wants(m) // also what was held before, and let go
	}
	if !fresh || l.b.holds(m) {
		if m.Retain && !l.b.holds(m) && !l.b.wants(m) {
			l.n.doubt() // it came to hold, again, one that is older than what is known here
		}
		l.repeated()
		return nil
	}
	retain := m.Retain
	if refused = l.publish(m, in, writes); retain && !m.Retain {
		l.n.doubt() // it holds an older one
	}
	return refused
}

// publish publishes a message that is new here.
func (l *link) publish(m *mqtt.Message, in *inbound, writes *batch.Batch) (refused error) {
	r, retain := in.receipt(writes), m.Retain
	l.b.cfg.Router.Publish(m, r.Receipt)
	if refused = r.Err(); refused != nil {
		l.b.seen.Unmark(m.Origin, &in.touched)
		r.refused = true
	} else {
		in.marks = append(in.marks, m.Origin)
		l.n.countReceived(r.Taken() > 0 || retain)
	}
	in.slack = min(in.slack, r.Slack())
	r.Close()
	return refused
}

func (l *link) repeated() {
	l.n.repeats.Add(1)
	l.b.metrics.repeats.Inc()
}

// decode makes a message out of an item; nil when it may not come in, counted. Nothing of the frame is held on to.
func (l *link) decode(it frame.Item) *mqtt.Message {
	m, err := decodeMessage(bytes.Clone(it.Body), l.b.cfg.Now().Add(-l.aged))
	if err != nil {
		l.log.Warn("message from neighbour is not valid", "error", err)
		l.b.metrics.dropped(dropInvalid, 1)
		return nil
	}
	if it.Kind == frame.ItemMessage && m.Origin.Life != l.stranger {
		if l.b.owns(m.Origin.Life) {
			l.repeated() // what is retained comes back to a node that was restored
			return nil
		}
		l.stranger = m.Origin.Life
	}
	if m.Retain && m.Version == 0 && l.form() == mqtt.LinkForm2 {
		m.Version = hlc.First // of the time before versions
	}
	m.From = mqtt.Source{Scope: l.n.scope, Name: l.n.name}
	m.Replay = it.Kind == frame.ItemReplay
	return m
}

// decodeMessage reads the bytes of one message that crossed a link at now, or of one at rest, and checks that it may cross.
func decodeMessage(b []byte, now time.Time) (*mqtt.Message, error) {
	m, rest, err := mqtt.DecodeLinkMessage(b, now)
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("message with %d bytes after its end", len(rest))
	case !topic.MayPublish(m.Topic, topic.Link):
		return nil, fmt.Errorf("topic %q does not cross links", m.Topic)
	case m.Origin.Life == 0:
		return nil, errors.New("message without origin")
	}
	return m, topic.CheckName(m.Topic, topic.MaxLength) // its levels were counted where it was published
}

// holds tells that m is retained here already: retained messages come long after their numbers have left the
// window of seen.
func (b *Bridge) holds(m *mqtt.Message) bool {
	return m.Retain && b.cfg.Retained != nil && b.cfg.Retained.Holds(m.Topic, m.Origin)
}

// wants tells that m would be retained here in place of what is known.
func (b *Bridge) wants(m *mqtt.Message) bool {
	return b.cfg.Retained == nil || m.Version == 0 || b.cfg.Retained.Wants(m.Topic, mqtt.VersionOf(m))
}

// takeVolatile publishes QoS 0 messages: nobody waits for them, they are not marked as seen.
func (l *link) takeVolatile(f frame.Data) {
	writes := l.b.cfg.Store.NewBatch()
	for _, it := range f.Items {
		if m := l.decode(it); m != nil && it.Kind == frame.ItemMessage {
			r := mqtt.NewReceipt(writes, nil)
			m.QoS = 0
			retain := m.Retain
			l.b.cfg.Router.Publish(m, r)
			l.n.countReceived(r.Taken() > 0 || retain)
			r.Close()
		}
	}
	l.b.cfg.Store.Commit(writes)
}

// inReceipt is the receipt of one message of a frame.
type inReceipt struct {
	*mqtt.Receipt
	in      *inbound
	refused bool // answered at once by ending the link: not the frame's error
}

func (in *inbound) receipt(writes *batch.Batch) *inReceipt {
	in.l.mu.Lock()
	in.waiting++
	in.l.mu.Unlock()
	r := &inReceipt{in: in}
	r.Receipt = mqtt.NewReceipt(writes, r.done)
	return r
}

func (r *inReceipt) done(err error) {
	if r.refused {
		err = nil
	}
	r.in.release(err)
}

// Committed implements batch.Waiter.
func (in *inbound) Committed(_ uint64, err error) {
	in.l.b.seen.Settle(in.touched, err)
	in.release(err)
}

// release ends one wait; with the last one the frame is kept, or is not.
func (in *inbound) release(err error) {
	l := in.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if in.waiting--; err != nil && in.err == nil {
		in.err = err
	}
	if in.waiting > 0 {
		return
	}
	if in.gaveUp() {
		in.err = nil
	} else if in.err != nil {
		l.b.forget(in.marks)
	} else if in.epoch != l.b.seen.Epoch() {
		in.err = errors.New("a message seen before was not kept")
	}
	l.settleLocked()
}

// gaveUp reports whether the message is one that no store takes, however often it comes, and drops it. Nodes of this version
// acknowledge none that is so large; one of an earlier version may have. Its mark stays in memory.
func (in *inbound) gaveUp() bool {
	if in.items != 1 || !errors.Is(in.err, store.ErrTooLarge) {
		return false
	}
	in.l.log.Error("message from neighbour cannot be kept", "reason", dropTooLarge, "position", in.last, "error", in.err)
	in.l.b.metrics.dropped(dropTooLarge, 1)
	return true
}

// settleLocked acknowledges the frames at the front that are kept.
func (l *link) settleLocked() {
	for len(l.inbound) > 0 && l.inbound[0].waiting == 0 {
		in := l.inbound[0]
		l.inbound = l.inbound[1:]
		if in.err != nil {
			text := "message not kept: " + in.err.Error()
			l.failLocked(errors.New(text), &frame.Goaway{Code: frame.GoawayRefused, Retry: l.b.cfg.RefuseRetry, Text: text})
			l.inbound = nil
			return
		}
		l.ack, l.ackCame, l.ackDue = in.last, in.came, true
	}
	l.kick()
}

// forget takes the marks of messages back that were not kept.
func (b *Bridge) forget(marks []mqtt.Origin) {
	writes := new(batch.Batch)
	b.seen.Forget(marks, writes)
	b.cfg.Store.Commit(writes)
}
