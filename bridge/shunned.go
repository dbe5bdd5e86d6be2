package bridge

import (
	"fmt"
	"time"

	"mangrove/mqtt/packet"
)

// shunned finds filters at which a plain broker ends the connection: too deep for it, of a kind that it does not know, not
// allowed. Since subscriptions come first on each connection, one filter of one client would keep the uplink down for good.
//
//	DISCONNECT about a packet ─ SUBSCRIBE or UNSUBSCRIBE was asked ─→ its filters are suspects, asked for alone
//	                            a suspect, suspicious times ────────→ left out for shunFor, and told
//
// It outlives the connections of an uplink, whose goroutine alone uses it. The zero value is empty.
type shunned struct {
	suspects map[string]int       // how often the connection ended at it alone
	until    map[string]time.Time // filters that are left out
}

const (
	shunFor      = time.Hour
	maxSuspects  = 1000 // beyond it all is forgotten, and found out again
	perSubscribe = 8    // filters asked for together
)

// objects notes that the broker ended the connection when these filters were asked for. out reports that the one filter
// is left out from now on.
func (s *shunned) objects(now time.Time, filters []string) (out bool) {
	if len(s.suspects)+len(filters) > maxSuspects {
		*s = shunned{}
	}
	if s.suspects == nil {
		s.suspects, s.until = map[string]int{}, map[string]time.Time{}
	}
	if len(filters) > 1 {
		for _, f := range filters {
			s.suspects[f] += 0 // from now on it is one
		}
		return false
	}
	f := filters[0]
	s.suspects[f]++
	if s.suspects[f] < suspicious {
		return false
	}
	s.until[f] = now.Add(shunFor)
	return true
}

// grants notes that the broker answered.
func (s *shunned) grants(filters []string) {
	for _, f := range filters {
		delete(s.suspects, f)
		delete(s.until, f)
	}
}

// has tells that filter is left out.
func (s *shunned) has(now time.Time, filter string) bool {
	until, ok := s.until[filter]
	return ok && now.Before(until)
}

// without is wanted, less what is left out.
func (s *shunned) without(now time.Time, wanted map[string]byte) map[string]byte {
	if len(s.until) == 0 {
		return wanted
	}
	rest := make(map[string]byte, len(wanted))
	for f, qos := range wanted {
		if !s.has(now, f) {
			rest[f] = qos
		}
	}
	return rest
}

// together is how many of the filters are asked for at once: a suspect alone.
func (s *shunned) together(n int, filter func(i int) string) int {
	for i := range min(n, perSubscribe) {
		if _, suspect := s.suspects[filter(i)]; suspect {
			return max(i, 1)
		}
	}
	return min(n, perSubscribe)
}

// blamesFilter tells of a DISCONNECT that may be about a SUBSCRIBE or UNSUBSCRIBE.
func blamesFilter(reason packet.ReasonCode) bool {
	switch reason {
	case packet.TopicFilterInvalid, packet.SharedNotSupported, packet.SubscriptionIDsNotSupported, packet.WildcardNotSupported:
		return true
	}
	return blamesPacket(reason)
}

// objected notes that the connection ended with err when filters were asked for.
func (l *remoteLink) objected(err error, filters []string) error {
	reason, told := l.conn.Disconnected()
	if !told || !blamesFilter(packet.ReasonCode(reason)) {
		return err
	}
	if l.b.uplink.shunned.objects(l.b.cfg.Now(), filters) {
		l.log.Warn("broker ends the connection at a subscription: it is left out", "filter", filters[0], "error", err, "for", shunFor)
	}
	return fmt.Errorf("subscription to %q: %w", filters[0], err)
}
