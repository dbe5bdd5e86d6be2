package session

import "mangrove/internal/metrics"

// Why a message was not delivered.
const (
	delivered       outcome = iota
	dropOffline             // QoS 0 for a client that is not connected
	dropBuffer              // QoS 0 for a client that reads too slowly
	dropTooLarge            // above the client's Maximum Packet Size
	dropExpired             // Message Expiry Interval passed
	dropQueueFull           // queue at its bound, by policy
	dropParkingFull         // from a link, for a queue that refuses and has as much again parked
	dropEnded               // the session ended before
	dropRemoved             // the operator removed the session
	dropQoS0Again           // QoS 0 that may have been sent before a restart
	dropBodyLost            // the store does not have it: damage
	dropKinds
)

var dropNames = [dropKinds]string{"", "offline-qos0", "buffer-full-qos0", "too-large", "expired", "queue-full", "parking-full",
	"session-ended", "removed-by-operator", "unknown-qos0", "body-lost"}

// counters of a Manager.
type counters struct {
	dropped [dropKinds]*metrics.Counter
	refused *metrics.Counter
	parked  *metrics.Counter
	wills   *metrics.Counter
	unkept  *metrics.Counter
	expired *metrics.Counter
	handed  *metrics.Counter
}

func newCounters(r *metrics.Registry) *counters {
	c := &counters{
		refused: r.Counter("mangrove_session_refused_total"),
		parked:  r.Counter("mangrove_session_parked_total"),
		wills:   r.Counter("mangrove_session_wills_total"),
		unkept:  r.Counter("mangrove_session_wills_unkept_total"),
		expired: r.Counter("mangrove_session_expired_total"),
		handed:  r.Counter("mangrove_session_handed_over_total"),
	}
	for why := delivered + 1; why < dropKinds; why++ {
		c.dropped[why] = r.Dropped(dropNames[why])
	}
	return c
}

// gauges shows what the manager holds.
func (m *Manager) gauges(r *metrics.Registry) {
	r.Gauge("mangrove_sessions", func() float64 { n, _ := m.Count(); return float64(n) })
	r.Gauge("mangrove_sessions_connected", func() float64 { _, n := m.Count(); return float64(n) })
	r.Gauge("mangrove_session_queues_full", func() float64 { return float64(m.jammed.Load()) })
	r.Gauge("mangrove_session_queued_messages", func() float64 { n, _ := m.Queued(); return float64(n) })
	r.Gauge("mangrove_session_queued_bytes", func() float64 { _, n := m.Queued(); return float64(n) })
}
