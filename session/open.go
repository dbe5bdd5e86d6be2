package session

import (
	"fmt"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Open attaches out to the client's session, or to a new one. [MQTT-3.1.2-6] [MQTT-3.1.4-4] [MQTT311-3.1.2-4]
// [MQTT311-3.1.4-3]
//
//	an earlier connection finishes → gate → it is closed → one batch: its will, the new record → stable → attached
func (m *Manager) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	m.lookup(req.ClientID).finish()
	defer m.gates.enter(req.ClientID).leave()
	if err := m.admit(req.ClientID); err != nil {
		return nil, false, err
	}
	old := m.lookup(req.ClientID)
	present, w := old.displace(req.Clean)
	s := old
	if !present {
		s = m.newSession(req.ClientID, m.cfg.Store != nil && m.cfg.clamp(req.Expiry) != 0)
	}
	kept, err := m.keepOpen(old, s, &req, w)
	if err != nil {
		old.restore(w)
		return nil, false, fmt.Errorf("keep session: %w", err)
	}
	m.enter(s)
	if old != nil && !present {
		m.end(old)
	}
	s.lock()
	defer s.unlock()
	s.attachLocked(out, &req)
	s.traffic.kept = kept
	s.armLocked()
	return s, present, nil
}

// finish lets an earlier connection handle what its client sent before the new one came, a DISCONNECT most of all: it
// drops the will.
func (s *Session) finish() {
	if s == nil {
		return
	}
	s.lock()
	out := s.outletLocked()
	s.unlock()
	if a, ok := out.(mqtt.Awaiter); ok {
		a.AwaitHandled()
	}
}

// displace takes an earlier connection off [MQTT-3.1.4-3] [MQTT311-3.1.4-2] and tells whether the session goes on
// [MQTT-3.1.2-4] [MQTT-3.1.2-5], and which will is to be published now: the new connection drops it only within the
// will delay of a session that goes on [MQTT-3.1.3-9].
func (s *Session) displace(clean bool) (goesOn bool, w *will) {
	if s == nil {
		return false, nil
	}
	s.lock()
	defer s.unlock()
	if s.ended {
		return false, nil
	}
	if out := s.outletLocked(); out != nil {
		out.Close(packet.SessionTakenOver)
		s.detachLocked()
	}
	goesOn = !clean && s.expiry != 0 // [MQTT311-3.1.2-6]
	if s.will != nil && (!goesOn && !s.leftLocked() || s.willAtLocked() <= s.m.clock()) {
		w, s.will = s.will, nil
	}
	return goesOn, w
}

// restore gives a session back what displace took, since the new connection could not be kept.
func (s *Session) restore(w *will) {
	if s == nil {
		return
	}
	s.lock()
	defer s.unlock()
	if s.ended {
		return
	}
	if w != nil {
		s.will = w
	}
	s.armLocked()
}

// keepOpen writes what Open changes, the will included, and waits for it, if anything of it outlives the node.
// [MQTT-3.1.2-7] [MQTT311-3.1.2-8] A new session has a new
// number: what the old one left under its number is out of reach with this batch, and removed bit by bit later.
// kept is the size of a record that is there for the will alone.
func (m *Manager) keepOpen(old, s *Session, req *mqtt.OpenRequest, w *will) (kept int, err error) {
	b := m.newBatch()
	m.publishWill(b, w)
	if s != old {
		old.keepSent(b)
	}
	rec := record{number: s.number, connected: true, expiry: m.cfg.clamp(req.Expiry), will: newWill(req, req.ClientID)}
	forWill := !s.durable() && !old.durable()
	if forWill && b.Empty() {
		b.SetSlack(willSlack)
	}
	if !s.durable() && rec.will != nil {
		kept = m.keepWill(b, req.ClientID, &rec)
	}
	switch {
	case s.durable():
		b.Put(batch.Sessions, []byte(req.ClientID), rec.append(nil))
	case kept == 0 && old.recorded():
		b.Delete(batch.Sessions, []byte(req.ClientID))
	case kept == 0:
		m.commitLater(b)
		return 0, nil
	}
	if err = m.commit(b); err == nil {
		return kept, nil
	}
	m.freeWill(kept)
	if forWill {
		m.willUnkept(req.ClientID, err)
		return 0, nil
	}
	return 0, err
}

// Detach ends the connection of out. What the session is stays for its expiry. [MQTT-3.1.2-23] [MQTT-3.14.4-3]
// [MQTT311-4.1.0-1]
func (s *Session) Detach(out mqtt.Outlet, req mqtt.DetachRequest) {
	defer s.m.gates.enter(s.clientID).leave()
	w, over, ok := s.disconnect(out, req)
	if !ok {
		return
	}
	b := s.m.newBatch()
	s.m.publishWill(b, w)
	s.lock()
	switch {
	case over:
		s.eraseLocked(b)
	case s.durable():
		s.recordLocked(b)
	}
	if !over {
		s.armLocked()
	}
	s.unlock()
	s.m.commitLater(b)
	if over {
		s.m.end(s)
	}
}

// disconnect detaches out and returns the will to publish now, and whether the session is over. ok is false when out is
// not its connection any more, or when a restart will see to it.
func (s *Session) disconnect(out mqtt.Outlet, req mqtt.DetachRequest) (w *will, over, ok bool) {
	s.lock()
	defer s.unlock()
	if s.ended || out == nil || s.outletLocked() != out {
		return nil, false, false
	}
	s.detachLocked()
	if s.durable() && s.m.isClosed() {
		return nil, false, false
	}
	if req.Expiry != nil && s.expiry != 0 { // the broker refuses the other (section 3.14.2.2.2)
		s.expiry = s.m.cfg.clamp(*req.Expiry)
	}
	if req.DropWill {
		s.will = nil // [MQTT-3.1.2-10] [MQTT311-3.1.2-10]
	}
	if s.will != nil && s.willAtLocked() <= s.detached {
		w, s.will = s.will, nil
	}
	return w, s.expiry == 0, true
}

// recordLocked writes the record of a detached session, or of one that the last run left.
func (s *Session) recordLocked(b *batch.Batch) {
	rec := record{number: s.number, expiry: s.expiry, will: s.will}
	rec.sent, rec.maybeSent = s.sentLocked()
	rec.detached = s.m.stored.Stamp(s.m.cfg.Now().Add(s.detached - s.m.clock()))
	b.Put(batch.Sessions, []byte(s.clientID), rec.append(nil))
}

// end takes a session that has no connection out of the node. Its record is gone or another's already; the gate is
// held.
func (m *Manager) end(s *Session) {
	s.lock()
	s.ended, s.detached = true, m.clock()
	left := s.leaveLocked()
	gone := s.filters
	t := s.wakeLocked()
	s.filters, t.in = filters{}, inbound{}
	m.freeWill(t.kept)
	t.kept = 0
	m.timers.clear(s)
	s.leftoversLocked()
	s.unlock()
	m.leave(s)
	if !m.stopping.Load() {
		gone.each(func(f string) { m.cfg.Router.Unsubscribe(s, f) })
	}
	m.handOverAll(left)
}

// armLocked sets the time at which something is due. A connected session does not end. [MQTT-4.1.0-1]
// [MQTT311-4.1.0-2]
func (s *Session) armLocked() {
	at := time.Duration(-1)
	sooner := func(t time.Duration) {
		if t = max(t, 0); at < 0 || t < at {
			at = t
		}
	}
	if s.outletLocked() == nil && s.expiry >= 0 {
		sooner(s.overAtLocked())
	}
	if s.outletLocked() == nil && s.will != nil {
		sooner(max(s.willAtLocked(), s.will.grace))
	}
	if t := s.traffic; t != nil && t.soonest != 0 {
		sooner(max(s.m.clock()+s.m.stored.Time(t.soonest).Sub(s.m.cfg.Now()), t.swept+s.m.cfg.SweepEvery))
	}
	if at < 0 {
		s.m.timers.clear(s)
		return
	}
	s.m.timers.set(s, at)
}
