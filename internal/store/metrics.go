package store

import "mangrove/internal/metrics"

// counters of one store.
type counters struct {
	commits       *metrics.Counter
	batches       *metrics.Counter
	groupSize     *metrics.Histogram
	seconds       *metrics.Histogram
	bytes         *metrics.Counter
	pageBytes     *metrics.Counter
	bodiesWritten *metrics.Counter
	bodiesFreed   *metrics.Counter
	strayReleases *metrics.Counter
	refused       *metrics.Counter
	errors        [3]*metrics.Counter // by severity
}

func newCounters(r *metrics.Registry) counters {
	c := counters{
		commits:       r.Counter("mangrove_store_commits_total"),
		batches:       r.Counter("mangrove_store_batches_total"),
		groupSize:     r.Histogram("mangrove_store_group_batches"),
		seconds:       r.Histogram("mangrove_store_commit_seconds"),
		bytes:         r.Counter("mangrove_store_written_bytes_total"),
		pageBytes:     r.Counter("mangrove_store_page_bytes_total"),
		bodiesWritten: r.Counter("mangrove_store_bodies_written_total"),
		bodiesFreed:   r.Counter("mangrove_store_bodies_freed_total"),
		strayReleases: r.Counter("mangrove_store_stray_releases_total"),
		refused:       r.Counter("mangrove_store_batches_refused_total"),
	}
	for s := full; s <= fatal; s++ {
		c.errors[s] = r.Counter(`mangrove_store_errors_total{kind="` + s.String() + `"}`)
	}
	return c
}

// count adds one applied group.
func (c *counters) count(done applied) {
	c.bytes.Add(done.bytes)
	c.bodiesWritten.Add(done.bodiesWritten)
	c.bodiesFreed.Add(done.bodiesFreed)
}

// watch registers what is read from s when somebody asks.
func (c *counters) watch(s *Store, r *metrics.Registry) {
	r.Gauge("mangrove_store_pending_batches", func() float64 { n, _ := s.Pending(); return float64(n) })
	r.Gauge("mangrove_store_pending_bytes", func() float64 { _, n := s.Pending(); return float64(n) })
	r.Gauge("mangrove_store_file_bytes", func() float64 { return float64(s.fileBytes()) })
	r.Gauge("mangrove_store_healthy", func() float64 {
		if s.Healthy() != nil {
			return 0
		}
		return 1
	})
}
