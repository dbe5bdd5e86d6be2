package session

import (
	"bytes"
	"fmt"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// fill reads messages of the tail into the window. Runs on a worker; the lock is not held while the store is read.
func (s *Session) fill() {
	s.lock()
	o := &s.wakeLocked().out
	wants, gap, number := o.wants(), o.gap(), s.number
	s.unlock()
	if !wants {
		return
	}
	entries, to, err := s.m.read(number, gap)
	if err == nil {
		err = s.m.readBodies(entries)
	}
	s.lock()
	defer s.unlock()
	if err != nil {
		s.hopelessLocked(err)
		return
	}
	o = &s.wakeLocked().out
	if n := o.loaded(gap.from, to, entries); n > 0 {
		s.m.log.Error("queued messages are missing in the store", "client", s.clientID, "messages", n)
		s.countDropped(dropBodyLost, n)
	}
	o.pump(locked{s})
}

func (s *Session) hopelessLocked(err error) {
	s.wakeLocked().out.hopeless = true
	s.m.log.Error("read queued messages", "client", s.clientID, "error", err)
}

// read returns the entries of a gap, and up to where they are all there are.
func (m *Manager) read(number uint64, g span) (entries []entry, to uint64, err error) {
	size, to := 0, g.to
	err = m.scanQueue(number, g.from, g.to, func(seq uint64, q *queueRecord) bool {
		if len(entries) >= g.messages || size >= g.bytes {
			to = seq
			return false
		}
		size += int(q.size)
		entries = append(entries, q.entry(seq))
		return true
	})
	return entries, to, err
}

func (q *queueRecord) entry(seq uint64) entry {
	e := entry{seq: seq, body: q.body, ids: q.ids, until: q.expires, group: q.group, size: q.size, qos: q.qos,
		retain: q.retain, state: ready}
	if q.released {
		e.state = released
	}
	if q.keeps {
		e.traits = keeps
	}
	return e
}

// scanQueue visits the records from <= seq < to of a queue while visit returns true.
func (m *Manager) scanQueue(number, from, to uint64, visit func(seq uint64, q *queueRecord) bool) error {
	var bad error
	err := m.cfg.Store.Scan(batch.Queues, queueKey(number, from), queueKey(number, to), func(k, v []byte) bool {
		seq, q, err := decodeQueueRow(k, v)
		if err != nil {
			bad = err
			return false
		}
		return visit(seq, &q)
	})
	if err == nil {
		err = bad
	}
	return err
}

func decodeQueueRow(k, v []byte) (seq uint64, q queueRecord, err error) {
	_, rest, err := splitKey(k)
	if err == nil {
		seq, _, err = splitKey(rest)
	}
	if err == nil {
		q, err = decodeQueueRecord(v)
	}
	return seq, q, err
}

// fetchBodies reads the messages of entries that are to be sent again.
func (s *Session) fetchBodies() {
	s.lock()
	var list []entry
	if o := &s.wakeLocked().out; o.running && s.durable() && !o.hopeless {
		list = o.bodiless(s.m.cfg.WindowMessages)
	}
	s.unlock()
	if len(list) == 0 {
		return
	}
	err := s.m.readBodies(list)
	s.lock()
	defer s.unlock()
	if err != nil {
		s.hopelessLocked(err)
		return
	}
	o := &s.wakeLocked().out
	for i := range list {
		o.fetched(list[i].seq, list[i].msg, locked{s})
	}
	o.pump(locked{s})
}

// readBodies sets the messages of those entries that have a body; it stays nil when the store does not have it.
func (m *Manager) readBodies(entries []entry) error {
	var ids []uint64
	var at []int
	for i := range entries {
		if entries[i].body != 0 {
			ids, at = append(ids, entries[i].body), append(at, i)
		}
	}
	var bad error
	err := m.cfg.Store.Bodies(ids, func(i int, body []byte) bool {
		if body == nil {
			return true
		}
		msg, _, err := mqtt.DecodeMessage(bytes.Clone(body))
		if err != nil {
			bad = fmt.Errorf("decode body %d: %w", ids[i], err)
			return false
		}
		msg.ID = ids[i]
		msg.From.Scope = mqtt.ScopeClient
		if until := entries[at[i]].until; until != 0 { // what the body says jumps with the wall clock
			msg.Expires = m.stored.Time(until)
		}
		entries[at[i]].msg = msg
		return true
	})
	if err == nil {
		err = bad
	}
	return err
}
