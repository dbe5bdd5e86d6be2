package broker

import (
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// retainedBatch is how many retained messages are handed to the session before what it kept of them is
// committed.
const retainedBatch = 256

// retainedSender hands retained messages to the session of a new subscription, no faster than the
// client reads. Reader only.
type retainedSender struct {
	c       *conn
	sub     mqtt.Subscription
	ids     []uint32
	batch   *store.Batch
	receipt *mqtt.Receipt
	n       int // messages in batch
}

func newRetainedSender(c *conn, sub mqtt.Subscription) *retainedSender {
	r := &retainedSender{c: c, sub: sub}
	if sub.ID != 0 {
		r.ids = []uint32{sub.ID}
	}
	r.begin()
	return r
}

func (r *retainedSender) begin() {
	r.batch, r.n = r.c.srv.newBatch(), 0
	r.receipt = mqtt.NewReceipt(r.batch, nil)
}

// add delivers one message; false = the connection is closing. A message that the session's queue has no
// room for is dropped and counted: it stays retained, and nobody was promised it.
func (r *retainedSender) add(m *mqtt.Message) bool {
	if !r.c.out.waitRoom() {
		return false
	}
	d := mqtt.Delivery{QoS: min(m.QoS, r.sub.QoS), Retain: true, IDs: r.ids} // [MQTT311-3.3.1-8]
	r.c.session.Deliver(m, d, r.receipt)
	if r.receipt.Err() != nil {
		r.c.srv.metrics.registry.Dropped("retained-queue-full").Inc()
		r.receipt.Close()
		r.receipt = mqtt.NewReceipt(r.batch, nil)
	}
	if r.n++; r.n == retainedBatch {
		r.commit()
		r.begin()
	}
	return true
}

func (r *retainedSender) commit() {
	r.receipt.Close()
	r.c.srv.commit(r.batch)
}
