package session

import (
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// Deliver hands m over, whether or not the client is connected. [MQTT-4.5.0-1] [MQTT311-3.1.2-5] [MQTT311-4.5.0-1]
// A durable session keeps QoS 1 and 2 in r's batch, and sends when that is stable.
func (s *Session) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	s.lock()
	defer s.unlock()
	s.deliverLocked(m, d, r)
}

// Replay implements mqtt.Subscriptions. The look at held and what follows are one step for whoever delivers to the session: a
// message that replaces m either was seen to have done so, or comes after m.
func (s *Session) Replay(m *mqtt.Message, d mqtt.Delivery, held mqtt.Retention, r *mqtt.Receipt) {
	s.lock()
	defer s.unlock()
	if held == nil || held.Current() {
		s.deliverLocked(m, d, r)
	}
}

func (s *Session) deliverLocked(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	if s.ended {
		return
	}
	why, now := delivered, d.QoS == 0 && !s.queuesQoS0Locked()
	switch {
	case now:
		why = s.deliverNowLocked(m, d)
	case s.fullLocked(m.Size()):
		why = dropQueueFull
	}
	if d.Offered && (why == dropOffline || why == dropBuffer || why == dropQueueFull) {
		return // somebody else is asked
	}
	r.Count()
	switch {
	case why == dropQueueFull:
		s.deliverFullLocked(m, d, r)
	case why != delivered:
		s.countDropped(why, 1)
	case !now:
		s.enqueueLocked(m, d, r)
	}
}

// deliverNowLocked is QoS 0: at once or not at all, and then why not.
func (s *Session) deliverNowLocked(m *mqtt.Message, d mqtt.Delivery) outcome {
	t := s.traffic
	if t == nil || !t.out.running {
		return dropOffline
	}
	switch t.outlet.Publish(m, d, 0, false) { // [MQTT-3.3.1-2]
	case mqtt.Full:
		return dropBuffer
	case mqtt.TooLarge:
		return dropTooLarge
	}
	return delivered
}

// queuesQoS0Locked reports whether a QoS 0 message goes through the queue: nothing may overtake what waits there.
func (s *Session) queuesQoS0Locked() bool {
	t := s.traffic
	return s.m.cfg.QueueQoS0 && s.durable() &&
		(t == nil || !t.out.running || t.out.tail > 0 || t.out.win.len() > t.out.live)
}

func (s *Session) enqueueLocked(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	t := s.wakeLocked()
	e := entry{seq: t.out.nextSeq(), body: m.ID, msg: m, ids: d.IDs, group: d.Group, size: int32(m.Size()), qos: d.QoS,
		retain: d.Retain, state: ready}
	if !m.Expires.IsZero() {
		e.until = s.m.stored.Stamp(m.Expires)
	}
	if s.m.cfg.WhenFull.Keeps(m.Topic) {
		e.traits = keeps
	}
	s.shares = s.shares || d.Group != ""
	if s.durable() {
		e.state = writing
		s.keepLocked(&e, r)
	}
	t.out.add(e)
	if t.ages.Due(e.seq) {
		t.ages.Note(e.seq, t.out.first(), s.m.cfg.Now())
	}
	if !s.durable() {
		t.out.pump(locked{s})
	}
	s.expiresLocked(e.until)
	t.out.own(e.seq)
}

// keepLocked writes e's record into the publish's batch.
func (s *Session) keepLocked(e *entry, r *mqtt.Receipt) {
	q := queueRecord{qos: e.qos, retain: e.retain, keeps: e.has(keeps), size: e.size, expires: e.until, ids: e.ids, group: e.group}
	var key [16]byte
	var rec [128]byte
	m := e.msg
	b := r.Batch()
	b.PutRef(batch.Queues, appendQueueKey(key[:0], s.number, e.seq), e.body, q.append(rec[:0]),
		func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
	b.Notify(s, kindQueued|e.seq)
	s.traffic.writing++
}

// expiresLocked has the queue looked through when a message in it may have expired: the tail, or what waits in memory.
func (s *Session) expiresLocked(until int64) {
	t := s.traffic
	if until == 0 || !t.out.waits() {
		return
	}
	if first := earlier(t.soonest, until); first != t.soonest {
		t.soonest = first
		s.armLocked()
	}
}

func (s *Session) countDropped(why outcome, n int) { s.m.count.dropped[why].Add(n) }
