package retain

import "mangrove/internal/metrics"

type counters struct {
	refused *metrics.Counter // above a bound
	expired *metrics.Counter
	failed  *metrics.Counter // rolled back, because the store refused
	unread  *metrics.Counter // could not be read from the store

	outdated *metrics.Counter // older than what was held
}

func newCounters(r *metrics.Registry) counters {
	return counters{
		refused: r.Counter("mangrove_retained_refused_total"),
		expired: r.Counter("mangrove_retained_expired_total"),
		failed:  r.Counter("mangrove_retained_failed_total"),
		unread:  r.Counter("mangrove_retained_unread_total"),

		outdated: r.Counter("mangrove_retained_outdated_total"),
	}
}

func (s *Store) watch(r *metrics.Registry) {
	r.Gauge("mangrove_retained_messages", func() float64 { return float64(s.Len()) })
	r.Gauge("mangrove_retained_cleared", func() float64 { return float64(s.Cleared()) })
	r.Gauge("mangrove_retained_bytes", func() float64 { return float64(s.Bytes()) })
}
