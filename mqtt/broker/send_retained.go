package broker

import (
	"mangrove/internal/batch"
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
	batch   *batch.Batch
	receipt *mqtt.Receipt
	n       int // messages in batch
	ahead   int // bytes handed over since the output was looked at
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

// dropRetained is why a retained message was not sent to a new subscription: the session's queue had no room
// for it while the connection lasted.
const dropRetained = "retained-queue-full"

// add delivers one message, or puts it off until the session has room; false = the connection is closing.
func (r *retainedSender) add(m *mqtt.Message, held mqtt.Retention) bool {
	if min(m.QoS, r.sub.QoS) == 0 || len(r.c.rd.owed.list) == 0 && r.c.hasRoom(m.Size()) {
		return r.deliver(m, held)
	}
	if !r.c.rd.owed.owe(m, r.sub) {
		r.c.srv.metrics.registry.Dropped(dropRetained).Inc()
	}
	return true
}

// deliver hands over one message; false = the connection is closing. One that the session refuses all the
// same is dropped and counted: it stays retained, and nobody was promised it.
func (r *retainedSender) deliver(m *mqtt.Message, held mqtt.Retention) bool {
	if !r.await(m.Size()) {
		return false
	}
	d := mqtt.Delivery{QoS: min(m.QoS, r.sub.QoS), Retain: true, IDs: r.ids} // [MQTT311-3.3.1-8]
	r.c.session.Replay(m, d, held, r.receipt)
	if d.QoS > 0 && r.receipt.Err() != nil {
		r.c.srv.metrics.registry.Dropped(dropRetained).Inc()
		r.receipt.Close()
		r.receipt = mqtt.NewReceipt(r.batch, nil)
	}
	if r.n++; r.n == retainedBatch {
		r.commit()
		r.begin()
	}
	return true
}

// retainedAhead is how many bytes of retained messages are handed over without a look at the output, and how many
// wait there at most before the next ones: enough for a large write, and little enough for the output's pooled buffers and the
// processor's cache.
const retainedAhead = 32 << 10

// await waits until the output has room for a message of that size; false = the connection is closing.
func (r *retainedSender) await(size int) bool {
	if r.ahead += size; r.ahead < min(retainedAhead, r.c.out.max/4) && r.n > 0 {
		return true
	}
	r.ahead = 0
	return r.c.out.waitLow(min(retainedAhead, r.c.out.max/2))
}

func (r *retainedSender) commit() {
	r.receipt.Close()
	r.c.srv.commit(r.batch)
}
