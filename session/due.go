package session

// due does what a session's alarm was set for: its end, its will, a sweep. Runs on a worker.
func (m *Manager) due(s *Session) {
	defer m.gates.enter(s.clientID).leave()
	w, over, ok := s.whatIsDue()
	if !ok {
		return
	}
	if w != nil || over {
		b := m.newBatch()
		m.publishWill(b, w)
		s.lock()
		switch {
		case over:
			s.eraseLocked(b)
		case s.durable():
			s.recordLocked(b)
		}
		s.unlock()
		m.commitLater(b)
	}
	if over {
		if s.expires() {
			m.count.expired.Inc()
		}
		m.end(s)
		return
	}
	s.lock()
	defer s.unlock()
	if t := s.traffic; t != nil && t.soonest != 0 {
		t.swept = m.clock()
		s.needLocked(jobSweep)
	}
	s.armLocked()
}

// whatIsDue tells which will is to be published now, and whether the session is over [MQTT-4.1.0-2]. ok is
// false when nothing is left to do.
func (s *Session) whatIsDue() (w *will, over, ok bool) {
	s.lock()
	defer s.unlock()
	if s.ended {
		s.wakeLocked().discarding = false
		s.leftoversLocked()
		return nil, false, false
	}
	if s.outletLocked() != nil {
		return nil, false, true
	}
	now := s.m.clock()
	over = s.expiry >= 0 && s.overAtLocked() <= now
	if s.will != nil && (over || max(s.willAtLocked(), s.will.grace) <= now) {
		w, s.will = s.will, nil
	}
	return w, over, true
}
