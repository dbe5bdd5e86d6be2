package session

import (
	"slices"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// handOverPatience is how long the messages of an ended session wait on disk for a member that has room. After that
// they are dropped and counted, so that sessions which come and go do not pile them up.
const handOverPatience = 10 * time.Minute

// tally is what became of messages of an ended session.
type tally struct {
	handed  int // to another member
	kept    int // of those, in the batch
	dropped [dropKinds]int
}

// note counts one message; kept says that it is in the batch.
func (t *tally) note(why outcome, kept bool) {
	if why != delivered {
		t.dropped[why]++
		return
	}
	t.handed++
	if kept {
		t.kept++
	}
}

// add counts a tally whose batch is stable.
func (c *counters) add(t *tally) {
	c.handed.Add(t.handed)
	for why := delivered + 1; why < dropKinds; why++ {
		if t.dropped[why] > 0 {
			c.dropped[why].Add(t.dropped[why])
		}
	}
}

// keepSent is keepSentLocked for a session that may not be there or not be durable.
func (s *Session) keepSent(b *batch.Batch) {
	if s == nil {
		return
	}
	s.lock()
	defer s.unlock()
	if s.durable() {
		s.keepSentLocked(b)
	}
}

// keepSentLocked writes, with the end of the session, which of its messages may have been sent. What comes after this
// was not: there is no connection.
func (s *Session) keepSentLocked(b *batch.Batch) {
	if sent, _ := s.sentLocked(); s.shares && sent > 0 {
		b.Put(batch.Received, receivedKey(s.number, 0), appendSent(nil, sent))
	}
}

// leaveLocked counts what ends with the session, and returns those messages in memory that go to others. Those of a
// durable session are in the store: discard counts them when some may be for others.
func (s *Session) leaveLocked() []entry {
	var left []entry
	o := &s.wakeLocked().out
	if !s.durable() {
		left = o.inheritance()
	}
	n := o.clear()
	if !s.durable() || !s.shares {
		s.countDropped(s.lossLocked(), n-len(left))
	}
	return left
}

// handOverStep hands over what it may of a step that was read from the store; the step stops before the first message
// that no member has room for. loss is what those that are for nobody else are counted as.
func (m *Manager) handOverStep(b *batch.Batch, p *portion, number, sent uint64, since time.Duration, loss outcome) error {
	done := m.bin.of(number)
	for i := range p.rows {
		if e := &p.rows[i]; done[e.seq] || !e.inherited(sent) {
			e.body = 0 // need not be read
		}
	}
	if err := m.readBodies(p.rows); err != nil {
		return err
	}
	for i := range p.rows {
		e := &p.rows[i]
		if done[e.seq] || e.state == released {
			continue // the client has it
		}
		if !e.inherited(sent) {
			p.tally.note(loss, false)
			continue
		}
		why, kept := m.handOver(b, e)
		if m.waits(why, since) {
			p.rows, p.next, p.wait = p.rows[:i], queueKey(number, e.seq), true
			return nil
		}
		p.tally.note(why, kept)
	}
	return nil
}

// waits reports whether a message of a session that ended at since stays on disk: until a member has room, or, after
// a restart, is there.
func (m *Manager) waits(why outcome, since time.Duration) bool {
	now := m.clock()
	return why == dropQueueFull && now < since+handOverPatience || why == dropEnded && now < m.cfg.WillGrace
}

// handOverAll hands over what only memory had of an ended session. It does not wait for the store: the publishers
// were told long ago.
func (m *Manager) handOverAll(list []entry) {
	for part := range slices.Chunk(list, discardStep) {
		b, w := m.newBatch(), &handedOver{m: m}
		for i := range part {
			w.tally.note(m.handOver(b, &part[i]))
		}
		m.commitFor(b, w)
	}
}

// handedOver is a batch.Waiter that counts what became of messages.
type handedOver struct {
	m     *Manager
	tally tally
}

// Committed implements batch.Waiter.
func (w *handedOver) Committed(_ uint64, err error) {
	if t := &w.tally; err != nil {
		w.m.log.Error("hand over messages of an ended session", "messages", t.kept, "error", err)
		t.handed -= t.kept
		t.dropped[dropEnded] += t.kept
	}
	w.m.count.add(&w.tally)
}

// handOver gives e to another member of its group: in b, when that one is durable. [MQTT-4.8.2-5]
func (m *Manager) handOver(b *batch.Batch, e *entry) (why outcome, kept bool) {
	switch {
	case e.msg == nil:
		return dropBodyLost, false
	case e.msg.Expired(m.cfg.Now()):
		return dropExpired, false
	}
	r := mqtt.NewReceipt(b, nil)
	m.cfg.Router.HandOver(e.group, e.msg, r)
	r.Close()
	switch {
	case r.Taken() == 0:
		return dropEnded, false
	case r.Err() != nil:
		return dropQueueFull, false
	}
	return delivered, r.Waits()
}
