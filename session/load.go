package session

import (
	"fmt"
	"slices"

	"mangrove/internal/batch"
)

// loader brings the durable sessions back. Messages stay in the store; only their number, their size and
// where the queue ends come to memory.
type loader struct {
	m           *Manager
	byNumber    map[uint64]*Session
	maybeSent   map[uint64]uint64   // by number: outbound.maybeSent where it is not sent, for those that have a queue
	willOnly    []*Session          // those that only wait for their will
	interrupted []*Session          // those that were connected when the node ended
	orphans     map[uint64]*Session // numbers without a session: what an interrupted discard left
	bad         error
}

// load runs in New, before any goroutine.
func (m *Manager) load() error {
	l := &loader{m: m, byNumber: map[uint64]*Session{}, maybeSent: map[uint64]uint64{}, orphans: map[uint64]*Session{}}
	for _, step := range []struct {
		table batch.Table
		row   func(k, v []byte) error
	}{
		{batch.Sessions, l.session}, {batch.Subscriptions, l.subscription},
		{batch.Queues, l.message}, {batch.Received, l.received},
	} {
		err := m.cfg.Store.Scan(step.table, nil, nil, func(k, v []byte) bool {
			l.bad = step.row(k, v)
			return l.bad == nil
		})
		if err == nil {
			err = l.bad
		}
		if err != nil {
			return fmt.Errorf("table %d: %w", step.table, err)
		}
	}
	l.finish()
	return nil
}

func (l *loader) session(k, v []byte) error {
	rec, err := decodeRecord(v)
	if err != nil {
		return fmt.Errorf("client %q: %w", k, err)
	}
	m := l.m
	s := &Session{m: m, clientID: string(k), number: rec.number, expiry: m.cfg.clamp(rec.expiry), next: rec.sent}
	if rec.maybeSent != rec.sent {
		l.maybeSent[rec.number] = rec.maybeSent
	}
	if rec.connected {
		l.interrupted = append(l.interrupted, s)
	} else {
		s.detached = -max(0, m.start.Sub(m.stored.Time(rec.detached)))
	}
	if w := rec.will; w != nil {
		s.will = ownWill(w.msg, w.delay, w.expiry, s.clientID)
		s.will.grace = m.cfg.WillGrace
	}
	m.sessions[s.clientID] = s
	if s.durable() {
		l.byNumber[rec.number] = s
		return nil
	}
	l.willOnly = append(l.willOnly, s)
	s.wakeLocked().kept = len(k) + len(v) + willOverhead
	m.wills.bytes.Add(int64(s.traffic.kept))
	return nil
}

// owner returns the session whose record has key k, an ended one for a number that is nobody's.
func (l *loader) owner(k []byte) (s *Session, rest []byte, err error) {
	number, rest, err := splitKey(k)
	if err != nil {
		return nil, nil, err
	}
	if s = l.byNumber[number]; s != nil {
		return s, rest, nil
	}
	if s = l.orphans[number]; s == nil {
		s = &Session{m: l.m, number: number, ended: true}
		l.orphans[number] = s
	}
	return s, rest, nil
}

func (l *loader) subscription(k, v []byte) error {
	s, filter, err := l.owner(k)
	if err != nil || s.ended {
		return err
	}
	sub, err := decodeSubscription(string(filter), v)
	if err != nil {
		return fmt.Errorf("client %q, filter %q: %w", s.clientID, filter, err)
	}
	l.m.cfg.Router.Subscribe(s, sub)
	s.filters.add(sub.Filter)
	return nil
}

func (l *loader) message(k, v []byte) error {
	s, rest, err := l.owner(k)
	if err != nil {
		return err
	}
	if s.ended {
		l.left(s, v)
		return nil
	}
	seq, _, err := splitKey(rest)
	if err != nil {
		return err
	}
	q, err := decodeQueueRecord(v)
	if err != nil {
		return fmt.Errorf("client %q, message %d: %w", s.clientID, seq, err)
	}
	t := l.wake(s)
	t.out.found(seq, q.size)
	t.soonest = earlier(t.soonest, q.expires)
	s.shares = s.shares || q.group != ""
	return nil
}

// wake is Session.wakeLocked for one that has a queue: what its record says of the messages counts.
func (l *loader) wake(s *Session) *traffic {
	if s.traffic != nil {
		return s.traffic
	}
	t := s.wakeLocked()
	if maybeSent, ok := l.maybeSent[s.number]; ok {
		t.out.maybeSent = maybeSent
	}
	return t
}

// left looks at a record of an ended session: whether it is for others. One that cannot be read is removed with the
// rest.
func (l *loader) left(s *Session, v []byte) {
	if q, err := decodeQueueRecord(v); err == nil && q.group != "" {
		s.shares = true
	}
}

func (l *loader) received(k, v []byte) error {
	s, rest, err := l.owner(k)
	if err != nil {
		return err
	}
	if s.ended {
		return l.sent(s, rest, v)
	}
	if len(rest) != 2 || len(v) == 0 || v[0] != recordVersion {
		return fmt.Errorf("client %q, received packet id: %w", s.clientID, errRecord)
	}
	s.wakeLocked().in.set(uint16(rest[0])<<8|uint16(rest[1]), taken)
	return nil
}

// sent reads what is known of an ended session.
func (l *loader) sent(s *Session, id, v []byte) (err error) {
	if len(id) == 2 && id[0] == 0 && id[1] == 0 {
		s.wakeLocked().out.sent, err = decodeSent(v)
	}
	return err
}

// finish sets the alarms, and has leftovers removed.
func (l *loader) finish() {
	for _, s := range l.interrupted {
		if s.durable() {
			s.restartLocked(true)
		}
	}
	l.keepInterrupted()
	for _, s := range l.byNumber {
		s.lock()
		s.restartLocked(false)
		s.armLocked()
		s.unlock()
	}
	for _, s := range l.willOnly {
		s.lock()
		s.armLocked()
		s.unlock()
	}
	for _, s := range l.orphans {
		s.lock()
		s.leftoversLocked()
		s.unlock()
	}
	if n := len(l.byNumber) + len(l.willOnly); n > 0 {
		l.m.log.Info("sessions restored", "sessions", len(l.byNumber), "connected before", len(l.interrupted),
			"leftovers", len(l.orphans), "wills", len(l.willOnly))
	}
}

// restartLocked ends loading. One that is asleep has nothing to be told.
func (s *Session) restartLocked(connected bool) {
	if s.traffic != nil {
		s.traffic.out.restart(connected)
	}
}

// interruptedBatch is how many records keepInterrupted writes at once.
const interruptedBatch = 1000

// keepInterrupted notes that the connections of the last run ended now: their expiry begins, and what comes from now on
// was not sent on them.
func (l *loader) keepInterrupted() {
	for some := range slices.Chunk(l.interrupted, interruptedBatch) {
		b := l.m.newBatch()
		for _, s := range some {
			s.recordLocked(b)
		}
		l.m.commitLater(b)
	}
}
