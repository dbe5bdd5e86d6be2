package session

import (
	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// locked is a Session whose lock is held: the world of its outbound.
type locked struct{ s *Session }

func (l locked) publish(e *entry, id uint16, dup bool) mqtt.SendResult {
	return l.s.traffic.outlet.Publish(e.msg, mqtt.Delivery{QoS: e.qos, Retain: e.retain, IDs: e.ids}, id, dup)
}

func (l locked) ack(kind packet.Type, id uint16, reason packet.ReasonCode) {
	l.s.traffic.outlet.Ack(kind, id, reason)
}

func (l locked) release(e *entry) (stable bool) {
	if !l.s.durable() {
		return true
	}
	q := queueRecord{qos: e.qos, released: true, size: e.size}
	var key [16]byte
	b := l.s.batchLocked()
	b.Put(batch.Queues, appendQueueKey(key[:0], l.s.number, e.seq), q.append(make([]byte, 8, 32)))
	b.Notify(l.s, kindReleased|e.seq)
	l.s.traffic.writing++
	return false
}

func (l locked) done(e *entry, how outcome) {
	if how != delivered {
		l.s.countDropped(how, 1)
	}
	if l.s.durable() {
		l.s.m.bin.put(place{l.s.number, e.seq})
	}
}

func (l locked) expired(m *mqtt.Message) bool {
	return !m.Expires.IsZero() && m.Expired(l.s.m.cfg.Now())
}

func (l locked) fetch() { l.s.needLocked(jobFetch) }

var _ world = locked{}
