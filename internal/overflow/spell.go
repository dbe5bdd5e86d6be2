package overflow

import (
	"log/slog"
	"time"
)

// Spell is the time in which one queue is at its bound, and what that costs. The zero value is a queue with room.
// Guarded by the lock of its queue.
//
//	room ─Note→ full: WARN, again after 1, 2, 4 … minutes while it costs something ─End→ room: INFO
type Spell struct {
	Since   time.Time // when it began; zero = there is room
	Dropped int       // messages since then
	Refused int       // publishes since then
	Parked  int       // messages from links since then that were taken above the bound

	next  time.Time // when to warn again
	pause time.Duration
}

// firstPause is the time to the second warning; each further one takes twice as long, up to longestPause.
const (
	firstPause   = time.Minute
	longestPause = 24 * time.Hour
)

// Note counts what a full queue has cost, and reports whether the operator is to be told now.
func (s *Spell) Note(now time.Time, dropped, refused, parked int) (warn bool) {
	s.Dropped += dropped
	s.Refused += refused
	s.Parked += parked
	switch {
	case s.Since.IsZero():
		s.Since, s.pause = now, firstPause
	case now.Before(s.next):
		return false
	default:
		s.pause = min(2*s.pause, longestPause)
	}
	s.next = now.Add(s.pause)
	return true
}

// Full reports whether the queue is at its bound.
func (s Spell) Full() bool { return !s.Since.IsZero() }

// End says that there is room again; it returns what the spell was.
func (s *Spell) End() (was Spell) {
	was, *s = *s, Spell{}
	return was
}

// Queue is what a report says of a queue.
type Queue struct {
	Kind, Name string // "client" or "neighbour", and which one
	Messages   int
	Bytes      int64
	Oldest     time.Duration // age of the oldest message, at most
	Policy     Policy
}

// Warn tells that q is full. Called without the queue's lock, as slog may take its time.
func (s Spell) Warn(log *slog.Logger, q Queue) {
	log.Warn("queue is full", q.Kind, q.Name, "messages", q.Messages, "bytes", q.Bytes, "oldest", q.Oldest.Round(time.Second),
		"when_full", string(q.Policy), "dropped", s.Dropped, "refused", s.Refused, "parked", s.Parked, "since", s.Since.Format(time.RFC3339))
}

// Report tells that the spell is over.
func (s Spell) Report(log *slog.Logger, q Queue, now time.Time) {
	log.Info("queue has room again", q.Kind, q.Name, "messages", q.Messages, "bytes", q.Bytes,
		"after", now.Sub(s.Since).Round(time.Second), "dropped", s.Dropped, "refused", s.Refused, "parked", s.Parked)
}
