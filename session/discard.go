package session

import (
	"bytes"
	"time"

	"mangrove/internal/batch"
)

// What an ended durable session leaves in the store is removed in steps, each one batch:
//
//	leftovers: the next records ─┬ not for others ──────────── counted
//	                             ├ another member takes it ─── its record is in the same batch
//	                             └ none has room ───────────── the step ends before it; again after discardRetry
//	→ batch: those records go → stable → the next step
//
// A step is there whole or not, so a crash loses none and doubles none.
type portion struct {
	rows  []entry // what it deals with
	next  []byte  // key of the first record that stays
	last  bool    // there was nothing left
	wait  bool    // no member has room for the next one
	tally tally
}

const (
	discardStep  = 1000        // records of one step
	discardBytes = 1 << 20     // of messages for others in one step, at most; one more is read
	discardRetry = time.Second // after the store refused, or when no member has room
)

// discard does one step; Committed asks for the next. Runs on a worker. One that is asked for while a step is not
// stable yet, by an alarm that was set before the session ended, does nothing: it would read the same records again.
func (m *Manager) discard(s *Session) {
	s.lock()
	t := s.wakeLocked() // for good: the session has ended
	if t.portion != nil {
		s.unlock()
		return
	}
	number, shares, sent, since, loss := s.number, s.shares, t.out.sent, s.detached, s.lossLocked()
	s.unlock()
	b := m.cfg.Store.NewBatch()
	p, err := m.leftovers(number)
	if err == nil && shares {
		err = m.handOverStep(b, p, number, sent, since, loss)
	}
	switch from := queueKey(number, 0); {
	case err != nil:
	case p.last:
		b.DeleteRange(batch.Subscriptions, numberKey(number, 0), numberKey(number+1, 0))
		b.DeleteRange(batch.Received, numberKey(number, 0), numberKey(number+1, 0))
	default:
		b.DeleteRange(batch.Queues, from, p.next)
	}
	s.lock()
	defer s.unlock()
	t.portion = p
	if err != nil || len(p.rows) == 0 && p.wait {
		s.discardedLocked(err)
		return
	}
	b.Notify(s, kindDiscard)
	t.batch = b
}

// leftovers reads the records of one step. One that cannot be decoded is nobody's.
func (m *Manager) leftovers(number uint64) (*portion, error) {
	from, to := queueKey(number, 0), queueKey(number+1, 0)
	p := &portion{next: to}
	size := 0
	err := m.cfg.Store.Scan(batch.Queues, from, to, func(k, v []byte) bool {
		if len(p.rows) == discardStep || size >= discardBytes {
			p.next = bytes.Clone(k)
			return false
		}
		seq, q, err := decodeQueueRow(k, v)
		if err != nil {
			q = queueRecord{}
		}
		if q.group != "" {
			size += int(q.size)
		}
		p.rows = append(p.rows, q.entry(seq))
		return true
	})
	p.last = len(p.rows) == 0
	return p, err
}

func (s *Session) discardedLocked(err error) {
	p := s.traffic.portion
	s.traffic.portion = nil
	if err != nil {
		s.m.log.Error("remove what an ended session left", "client", s.clientID, "error", err)
	} else {
		s.m.count.add(&p.tally)
	}
	switch {
	case err != nil || p.wait:
		s.m.timers.set(s, s.m.clock()+discardRetry)
	case !p.last:
		s.needLocked(jobDiscard)
	}
}
