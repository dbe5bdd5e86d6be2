package broker

import (
	"errors"
	"sync"
	"sync/atomic"

	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// acks are the acknowledgements a connection owes for QoS 1 and 2 PUBLISH packets. They leave in
// the order the packets came, whatever order the receipts are done in. [MQTT-4.6.0-2] [MQTT-4.6.0-3]
// [MQTT311-4.6.0-2] [MQTT311-4.6.0-3]
//
//	PUBLISH ─expect─→ queue ──(Receipt done: settle)──→ head done? ─→ PUBACK / PUBREC
//
// They also count what the client has in flight, for Receive Maximum. [MQTT-3.3.4-7]
type acks struct {
	c *conn

	due atomic.Int32 // length of the queue

	mu         sync.Mutex
	head, tail *pending   // the queue
	qos1       int        // in the queue
	qos2       packet.IDs // 1 from PUBLISH to PUBCOMP, or to PUBREC with an error
}

// pending is one acknowledgement to come, with the receipt it waits for. Pooled.
type pending struct {
	receipt mqtt.Receipt
	a       *acks
	next    *pending
	kind    packet.Type // PUBACK or PUBREC
	id      uint16
	reason  packet.ReasonCode
	done    bool
	err     error
}

var pendings = sync.Pool{New: func() any { return new(pending) }}

// Ended implements mqtt.Ender: the receipt of p is done.
func (p *pending) Ended(err error) { p.a.settle(p, err) }

// errReceiveMaximum ends a 5.0 connection whose client sends more than was agreed.
var errReceiveMaximum = &packet.Error{Reason: packet.ReceiveMaximumExceeded, Rule: "MQTT-3.3.4-7",
	Detail: "more unacknowledged PUBLISH packets than Receive Maximum"}

// expect adds the acknowledgement of a PUBLISH to the queue. A 5.0 client may not have more than max
// unacknowledged; a QoS 2 packet sent again counts once. [MQTT-2.2.1-5] [MQTT311-2.3.1-6]
func (a *acks) expect(v packet.Version, qos byte, id uint16, max int) (*pending, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if repeat := qos == 2 && a.qos2.Get(id) != 0; v == packet.V5 && !repeat && a.qos1+a.qos2.Len() >= max {
		return nil, errReceiveMaximum
	}
	p := pendings.Get().(*pending)
	p.a, p.kind, p.id = a, packet.PUBACK, id
	if qos == 2 {
		p.kind = packet.PUBREC
		a.qos2.Set(id, 1)
	} else {
		a.qos1++
	}
	if a.tail == nil {
		a.head = p
	} else {
		a.tail.next = p
	}
	a.tail = p
	a.due.Add(1)
	return p, nil
}

// waitRoom waits until fewer than max acknowledgements are due; false = the connection is closing. It
// is how clients before 5.0 are slowed. The step must have been committed.
func (a *acks) waitRoom(max int) bool {
	return a.c.out.waitWhile(func(bool) bool { return int(a.due.Load()) >= max })
}

// settle notes that the receipt of p is done and sends what is due now. It is called from any
// goroutine and does not block. p is not to be touched after it.
func (a *acks) settle(p *pending, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p.done, p.err = true, err
	if p != a.head {
		return
	}
	full := a.due.Load() >= int32(a.c.grants.ReceiveMaximum)
	for a.head != nil && a.head.done {
		a.sendLocked(a.head)
		a.popLocked()
	}
	if full && a.c.version < packet.V5 { // else nobody is in waitRoom
		a.c.out.signal()
	}
}

// popLocked takes the head off, which nobody knows any more: its receipt is done.
func (a *acks) popLocked() {
	p := a.head
	if a.head = p.next; a.head == nil {
		a.tail = nil
	}
	a.due.Add(-1)
	*p = pending{}
	pendings.Put(p)
}

func (a *acks) sendLocked(p *pending) {
	reason := p.reason
	if p.err != nil {
		a.c.srv.metrics.refused.Inc()
		if a.c.version < packet.V5 {
			// No code can say that it was not kept, so nothing is acknowledged. [MQTT-4.3.2-4] [MQTT311-4.8.0-2]
			a.c.shut(ending{why: "not-kept", detail: p.err.Error()})
			return
		}
		reason = ackReason(p.err)
	}
	switch {
	case p.kind == packet.PUBACK:
		a.qos1--
	case reason >= packet.UnspecifiedError:
		a.qos2.Set(p.id, 0) // [MQTT-4.3.3-9]: the exchange ends with such a PUBREC
	}
	if reason == packet.Success {
		a.c.out.ack(p.kind, p.id, a.c.version)
		return
	}
	a.c.send(&packet.Ack{Kind: p.kind, PacketID: p.id, Reason: reason, Props: a.c.because(reason, ackDetail(p.err))})
}

// ackReason is what a publisher is told when a taker could not keep its message.
func ackReason(err error) packet.ReasonCode {
	var fault *packet.Error
	switch {
	case errors.Is(err, mqtt.ErrQuota), errors.Is(err, store.ErrFull), errors.Is(err, store.ErrWrite), errors.Is(err, store.ErrBacklog),
		errors.Is(err, store.ErrTooLarge):
		return packet.QuotaExceeded
	case errors.As(err, &fault) && fault.Reason >= packet.UnspecifiedError:
		return fault.Reason
	}
	return packet.UnspecifiedError
}

// ackDetail says the same in words; without an error the publish was not permitted.
func ackDetail(err error) string {
	var fault *packet.Error
	switch {
	case err == nil:
		return "publishing there is not permitted"
	case errors.Is(err, mqtt.ErrQuota):
		return "the queue of a subscriber is full"
	case errors.Is(err, store.ErrTooLarge):
		return "larger messages than 48 MiB are not kept"
	case errors.As(err, &fault):
		return fault.Detail
	}
	return "the message could not be kept"
}

// completed notes that PUBCOMP for id is about to be sent.
func (a *acks) completed(id uint16) {
	a.mu.Lock()
	a.qos2.Set(id, 0)
	a.mu.Unlock()
}
