package broker

import "mangrove/internal/batch"

// commit makes what the takers of s's publishes wrote stable; their receipts will send the
// acknowledgements.
func (c *conn) commit(s *step) {
	if !s.waited && s.batch.Empty() {
		return
	}
	s.batch.SetSlack(min(s.slack, s.qos0.Slack()))
	s.qos0.Close()
	b := s.batch
	c.srv.steps.renew(s)
	c.srv.commit(b)
}

// flushStep sends and commits what the step has gathered so far. It comes before anything that may block, or that must
// be ordered after it.
func (c *conn) flushStep(s *step) {
	c.out.flush()
	c.commit(s)
}

func (s *Server) newBatch() *batch.Batch {
	if s.cfg.Store == nil {
		return &batch.Batch{}
	}
	return s.cfg.Store.NewBatch()
}

// slowBacklog is the bytes waiting for the disk from which on a publisher's reader waits until its own
// are stable, well before the store refuses more.
const slowBacklog = 64 << 20

// commit hands a batch to the store, and waits for it when much is waiting already. Without a store
// there is nobody who writes.
func (s *Server) commit(b *batch.Batch) {
	if s.cfg.Store == nil {
		if !b.Empty() {
			panic("BUG: writes without a store")
		}
		return
	}
	if _, waiting := s.cfg.Store.Pending(); waiting < slowBacklog {
		s.cfg.Store.Commit(b)
		return
	}
	s.cfg.Store.CommitWait(b) // those who wrote are told the error
}
