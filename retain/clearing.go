package retain

import (
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// A clearing is kept for a while, so that a node that was away cannot bring back what was cleared meanwhile. It is known with its version
// like a message, and forgotten when Config.ClearedKeep has passed, in stored time; at Config.MaxCleared the one that would be
// forgotten first is. A message that expires leaves one too.

// blindKeep is how long a clearing is kept of a topic of which nothing was known: as long as what it clears may still be on its way.
const blindKeep = time.Hour

// newClearing is the clearing that m is.
func (s *Store) newClearing(m *mqtt.Message) *entry {
	e := &entry{topic: m.Topic, origin: m.Origin, time: m.Version, gone: true, here: s.publishedHere(m)}
	until := s.cfg.Now().Add(s.cfg.ClearedKeep)
	if m.Healed && !m.Expires.IsZero() && m.Expires.Before(until) {
		until = m.Expires // the rest of the time it had elsewhere: clearings do not live on by being told
	}
	e.expires.At = max(1, s.clock.Stamp(until))
	return e
}

// blindLocked shortens the time of e, a clearing of a topic of which nothing was known.
func (s *Store) blindLocked(e *entry) {
	e.expires.At = min(e.expires.At, s.clock.Stamp(s.cfg.Now().Add(blindKeep)))
}

// clearingOf is the clearing that is left of a message.
func (s *Store) clearingOf(old *entry) *entry {
	e := &entry{topic: old.topic, origin: old.origin, time: old.time, gone: true, here: old.here}
	e.expires.At = max(1, s.clock.Stamp(s.cfg.Now().Add(s.cfg.ClearedKeep)))
	return e
}

// boundClearingsLocked forgets the clearings above the bound.
func (s *Store) boundClearingsLocked() {
	for s.clearings.Len() > s.cfg.MaxCleared {
		e, _ := s.clearings.First()
		n := s.root.find(e.topic)
		if n.open != nil {
			return // on its way to the disk; the next one finds it
		}
		s.forgetLocked(n)
	}
}

// forgetLocked forgets what is known at n, which is settled. The record goes before any that comes after it, and need not be stable:
// what comes back with a power cut is forgotten again.
func (s *Store) forgetLocked(n *node) {
	topic := n.latest().topic
	s.showLocked(n, nil)
	n.prune()
	if s.cfg.Store != nil {
		b := new(batch.Batch)
		b.SetSlack(batch.Unsynced)
		b.Delete(batch.Retained, []byte(topic))
		s.cfg.Store.Commit(b) // with the lock: it has nobody to tell
	}
}

// forgetOldLocked forgets clearings that were kept for long enough, up to a number.
func (s *Store) forgetOldLocked(now int64, limit int) (forgotten int) {
	var old []*node
	for e := range s.clearings.Passed(now) {
		if n := s.root.find(e.topic); n.open == nil {
			old = append(old, n)
		}
		if len(old) == limit {
			break
		}
	}
	for _, n := range old {
		s.forgetLocked(n)
	}
	return len(old)
}
