package session

import (
	"errors"

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
	w, ok := m.signals.Get().(signal)
	if !ok {
		w = make(signal, 1)
	}
	m.commitFor(b, w)
	err := <-w
	m.signals.Put(w)
	return err
}

// commitLater commits b; an error is logged, the state in memory goes on without it.
func (m *Manager) commitLater(b *batch.Batch) { m.commitFor(b, (*logged)(m)) }

func (m *Manager) commitFor(b *batch.Batch, w batch.Waiter) {
	switch {
	case m.cfg.Store != nil:
		b.Notify(w, 0)
		m.cfg.Store.Commit(b)
	case b.Empty():
		w.Committed(0, nil)
	default:
		w.Committed(0, errNoStore)
	}
}

// signal is a batch.Waiter for one who waits; its buffer is 1.
type signal chan error

func (s signal) Committed(_ uint64, err error) { s <- err }

// logged is a batch.Waiter that has nobody to tell.
type logged Manager

func (l *logged) Committed(_ uint64, err error) {
	if err != nil {
		l.log.Error("keep session", "error", err)
	}
}
