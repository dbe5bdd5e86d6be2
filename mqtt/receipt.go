package mqtt

import (
	"sync"

	"mangrove/internal/batch"
)

// Receipt follows one publish from its arrival until every durable taker has it on stable storage.
//
//	New ─ takers: Batch / Hold / Refuse / Count ─ Close ─ (store commits, holders release) ─ done(err)
//
// done is called exactly once: from Close when nothing is awaited, else from the goroutine of the
// last event (often the store's writer), and must not block. Takers call Batch, Hold, Count and
// Refuse only from inside Deliver; Release may come from anywhere.
type Receipt struct {
	batch *batch.Batch
	end   Ender
	used  bool        // batch has something of this publish; publisher's goroutine only
	slack batch.Slack // of what takers write from now on; publisher's goroutine only
	needs batch.Slack // the least of what was written; publisher's goroutine only
	held  bool        // others may know the receipt; publisher's goroutine only
	taken int         // subscribers that got it; publisher's goroutine only

	repeats bool    // see PublisherRepeats; publisher's goroutine only
	settler Settler // publisher's goroutine only, until Close
	arg     uint64

	mu      sync.Mutex
	waiting int
	err     error
}

// NewReceipt starts a receipt whose takers write into a batch; several receipts may share it. done may be nil.
//
// A batch into which a taker has written is committed or abandoned, never forgotten (see batch.Batch): the publisher, who made it, commits it
// after Close, and when it cannot, calls its Abandon, holding no lock of a taker.
func NewReceipt(writes *batch.Batch, done func(error)) *Receipt {
	r := &Receipt{batch: writes, waiting: 1}
	if done != nil {
		r.end = enderFunc(done)
	}
	return r
}

// Ender is who is told that a receipt is done.
type Ender interface {
	// Ended is called once, with the first error or nil, and must not block. The receipt is not used after it.
	Ended(err error)
}

type enderFunc func(error)

func (f enderFunc) Ended(err error) { f(err) }

// Start is NewReceipt for a Receipt that is part of something else, which may be used again once end was told.
func (r *Receipt) Start(writes *batch.Batch, end Ender) {
	*r = Receipt{batch: writes, end: end, waiting: 1}
}

// Batch returns the batch to write into. The receipt waits for it to become stable.
func (r *Receipt) Batch() *batch.Batch {
	if !r.used {
		r.used, r.needs = true, r.slack
		r.Hold()
		r.batch.Notify(r, 0)
	}
	r.needs = min(r.needs, r.slack)
	return r.batch
}

// SetSlack says how stable what takers write is to be before it counts as kept. The Router does, by topic, before it delivers;
// who writes to the batch before that does so too. Without it: on stable storage.
func (r *Receipt) SetSlack(s batch.Slack) { r.slack = s }

// Slack is the least slack of what takers wrote, Unsynced when they wrote nothing: who commits the batch gives it the least of its
// receipts. Before Close.
func (r *Receipt) Slack() batch.Slack {
	if !r.used {
		return batch.Unsynced
	}
	return r.needs
}

// PublisherRepeats says that whoever publishes keeps the message until it is acknowledged, and else publishes it again, which
// may double it: a client at QoS 1 does.
func (r *Receipt) PublisherRepeats() { r.repeats = true }

// MayWait reports that the message is not lost if it is on no disk here before the acknowledgement: its publisher repeats, and no taker has
// written so far. One who can have it kept elsewhere may Hold and not write; so the uplink is asked last. Not for a message that need not
// be on stable storage: that is acknowledged sooner.
func (r *Receipt) MayWait() bool { return r.repeats && !r.used && r.slack == batch.Synced }

// Waits reports whether somebody called Batch, so that the batch has to be committed. Before Close.
func (r *Receipt) Waits() bool { return r.used }

// Hold makes the receipt wait for one more Release: for takers that keep the message elsewhere
// than in this node's store.
func (r *Receipt) Hold() {
	r.held = true
	r.mu.Lock()
	r.waiting++
	r.mu.Unlock()
}

// Release ends one Hold. The first error is the receipt's.
func (r *Receipt) Release(err error) {
	r.mu.Lock()
	if err != nil && r.err == nil {
		r.err = err
	}
	r.waiting--
	last, first := r.waiting == 0, r.err
	r.mu.Unlock()
	if last {
		r.over(first)
	}
}

// over is the last event; err is the first error.
func (r *Receipt) over(err error) {
	if r.settler != nil {
		r.settler.Settle(r, r.arg, err)
	} else {
		r.Finish(err)
	}
}

// Settler is asked between the last event of a receipt and its done: a session that noted a QoS 2
// packet identifier must have forgotten it before the publisher hears of an error. Settle must not block, and
// calls r.Finish once, then or later, from anywhere.
type Settler interface {
	Settle(r *Receipt, arg uint64, err error)
}

// OnSettle puts s before done. One at most, before Close.
func (r *Receipt) OnSettle(s Settler, arg uint64) { r.settler, r.arg = s, arg }

// Finish tells done. For Settlers only.
func (r *Receipt) Finish(err error) {
	if r.end != nil {
		r.end.Ended(err)
	}
}

// Refuse says that a taker which should keep the message cannot. The publisher is told so instead of
// being acknowledged.
func (r *Receipt) Refuse(err error) {
	r.mu.Lock()
	if r.err == nil {
		r.err = err
	}
	r.mu.Unlock()
}

// Err is the first refusal or failure so far; nil says nothing about what is still awaited. A neighbour
// link asks it after Publish, to keep no mark of a message that it will be sent again.
func (r *Receipt) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Count says that one more subscriber was found. Taken tells how many there were: 0 becomes
// reason code 0x10. A shared subscription knows by it whether the member it asked was one.
func (r *Receipt) Count() { r.taken++ }

// Taken is the number of subscribers found so far.
func (r *Receipt) Taken() int { return r.taken }

// Close says that all takers have been asked.
func (r *Receipt) Close() {
	if r.held {
		r.Release(nil)
		return
	}
	r.over(r.err) // nobody else has the receipt, so no lock is needed
}

// Committed implements batch.Waiter.
func (r *Receipt) Committed(_ uint64, err error) { r.Release(err) }
