package retain

import (
	"time"

	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// stampVersion gives m its version, if it has none: that of its first copy, when that is held, else one above all that is held.
func (s *Store) stampVersion(m *mqtt.Message) {
	if m.Version != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.latestLocked(m.Topic)
	if held != nil && held.origin == m.Origin && m.Origin != (mqtt.Origin{}) {
		m.Version = held.time
		return
	}
	now := s.cfg.Now()
	m.Version = s.versions.Next(held.version().Time, s.ownTime(now), now)
}

// ownTime is what this node's clocks show, in Unix milliseconds: the wall clock, or the stored time where nobody has set that.
func (s *Store) ownTime(now time.Time) int64 {
	if wall := now.UnixMilli(); wall >= hlc.Unset {
		return wall
	}
	return s.clock.Stamp(now)
}

// Hear takes what a neighbour's clock shows, see hlc.Clock.Hear. false = it is too far ahead to go by.
func (s *Store) Hear(milli int64, follow bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	return s.versions.Hear(milli, s.ownTime(now), now, follow)
}

// Clock is what to tell a neighbour that will Hear it.
func (s *Store) Clock() (milli int64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now := s.cfg.Now()
	return s.versions.Read(s.ownTime(now), now)
}
