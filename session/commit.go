package session

import (
	"errors"
	"log/slog"

	"mangrove/internal/batch"
)

// newBatch returns a batch also when there is no store; it stays empty then.
func (m *Manager) newBatch() *batch.Batch {
	if m.cfg.Store == nil {
		return new(batch.Batch)
	}
	return m.cfg.Store.NewBatch()
}

var errNoStore = errors.New("there is no store to keep it in")

// commit commits b and waits until it is stable. No lock but a gate is held.
func (m *Manager) commit(b *batch.Batch) error {
	if m.cfg.Store == nil {
		return commitNowhere(b)
	}
	return m.cfg.Store.CommitWait(b)
}

// commitLater commits b; an error is logged, the state in memory goes on without it.
func (m *Manager) commitLater(b *batch.Batch) { m.commitFor(b, logged{m.log}) }

// commitFor commits b and has w told after those who wrote.
func (m *Manager) commitFor(b *batch.Batch, w batch.Waiter) {
	b.Notify(w, 0)
	if m.cfg.Store == nil {
		commitNowhere(b) // w was told the error
		return
	}
	m.cfg.Store.Commit(b)
}

// commitNowhere ends b when there is no store: what is in it cannot be kept.
func commitNowhere(b *batch.Batch) error {
	if b.Empty() {
		b.Settle(nil)
		return nil
	}
	b.Abandon(errNoStore)
	return errNoStore
}

// logged is a batch.Waiter that has nobody to tell.
type logged struct{ log *slog.Logger }

func (l logged) Committed(_ uint64, err error) {
	if err != nil {
		l.log.Error("keep session", "error", err)
	}
}
