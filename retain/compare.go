package retain

import "mangrove/mqtt"

// What bridge needs to compare this node's messages with those of a neighbour.

// Held visits what is known of the topics that match filter, clearings included, while visit returns true. Messages that have expired are
// left out. visit may call the Store.
func (s *Store) Held(filter string, visit func(mqtt.Held) bool) {
	now := s.clock.Stamp(s.cfg.Now())
	s.mu.RLock()
	found := s.root.match(filter, true, nil)
	s.mu.RUnlock()
	for _, e := range found {
		if e.expired(now) {
			continue
		}
		if !visit(mqtt.Held{Topic: e.topic, Version: e.version(), Cleared: e.gone, Here: e.here}) {
			return
		}
	}
}

// Newest is the message that is retained for topic, or one that clears it, Healed, with what is left of the time that a clearing is
// known; nil = nothing is known. Its ID may be 0. It is shared: not to be changed.
func (s *Store) Newest(topic string) (m *mqtt.Message) {
	s.mu.RLock()
	e := s.latestLocked(topic)
	s.mu.RUnlock()
	switch {
	case e == nil:
		return nil
	case !e.gone:
		s.Match(topic, s.cfg.Now(), func(found *mqtt.Message) bool { m = found; return false })
		if m != nil && m.Version == 0 { // of the time before versions
			dated := *m
			dated.Version = e.time
			m = &dated
		}
		return m
	}
	return &mqtt.Message{Topic: e.topic, Retain: true, Origin: e.origin, Version: e.time, Healed: true,
		Expires: s.clock.Time(e.expires.At)}
}

// Wants reports whether a message of that version would take the place of what is known of topic.
func (s *Store) Wants(topic string, v mqtt.Version) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return v.Compare(s.latestLocked(topic).version()) > 0
}

// Changes rises with each change of what is held.
func (s *Store) Changes() uint64 { return s.changes.Load() }

// Room is how many more messages there is room for.
func (s *Store) Room() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.bytes >= s.cfg.MaxBytes {
		return 0
	}
	return max(0, s.cfg.MaxMessages-s.messages)
}

// LetGo forgets the messages that came from elsewhere and are not wanted: their topics may change without this node hearing of it.
// Clearings stay, and what is on its way to the disk. It returns how many were forgotten.
func (s *Store) LetGo(wanted func(topic string) bool) (n int) {
	var topics []string
	s.Held("#", func(h mqtt.Held) bool {
		if !h.Here && !h.Cleared && !wanted(h.Topic) {
			topics = append(topics, h.Topic)
		}
		return true
	})
	for len(topics) > 0 {
		part := topics[:min(len(topics), sweepStep)]
		topics = topics[len(part):]
		n += s.letGo(part)
	}
	return n
}

func (s *Store) letGo(topics []string) (forgotten int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, topic := range topics {
		if n := s.root.find(topic); n != nil && n.open == nil && n.visible != nil && !n.visible.here {
			s.forgetLocked(n)
			forgotten++
		}
	}
	return forgotten
}
