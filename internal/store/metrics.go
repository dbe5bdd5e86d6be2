package store

import (
	"sync"
	"time"

	"mangrove/internal/metrics"
)

// counters of one store.
type counters struct {
	commits       *metrics.Counter
	batches       *metrics.Counter
	groupSize     *metrics.Histogram
	seconds       *metrics.Histogram
	waitSeconds   *metrics.Histogram
	longest       *longest
	bytes         *metrics.Counter
	logBytes      *metrics.Counter
	pageBytes     *metrics.Counter
	replayed      *metrics.Counter
	bodiesWritten *metrics.Counter
	bodiesFreed   *metrics.Counter
	refused       *metrics.Counter
	errors        [3]*metrics.Counter // by severity

	compactions *metrics.Counter

	checkpoints       *metrics.Counter
	checkpointErrors  *metrics.Counter
	checkpointSeconds *metrics.Histogram
	checkpointRecords *metrics.Counter
	checkpointBodies  *metrics.Counter
	checkpointBytes   *metrics.Counter
}

func newCounters(r *metrics.Registry) counters {
	c := counters{
		commits:       r.Counter("mangrove_store_commits_total"),
		batches:       r.Counter("mangrove_store_batches_total"),
		groupSize:     r.Histogram("mangrove_store_group_batches"),
		seconds:       r.Histogram("mangrove_store_commit_seconds"),
		waitSeconds:   r.Histogram("mangrove_store_wait_seconds"),
		longest:       new(longest),
		bytes:         r.Counter("mangrove_store_written_bytes_total"),
		pageBytes:     r.Counter("mangrove_store_page_bytes_total"),
		bodiesWritten: r.Counter("mangrove_store_bodies_written_total"),
		bodiesFreed:   r.Counter("mangrove_store_bodies_freed_total"),
		refused:       r.Counter("mangrove_store_batches_refused_total"),
		logBytes:      r.Counter("mangrove_store_log_bytes_total"),
		replayed:      r.Counter("mangrove_store_replayed_records_total"),

		compactions: r.Counter("mangrove_store_compactions_total"),

		checkpoints:       r.Counter("mangrove_store_checkpoints_total"),
		checkpointErrors:  r.Counter("mangrove_store_checkpoint_errors_total"),
		checkpointSeconds: r.Histogram("mangrove_store_checkpoint_seconds"),
		checkpointRecords: r.Counter("mangrove_store_checkpoint_records_total"),
		checkpointBodies:  r.Counter("mangrove_store_checkpoint_bodies_total"),
		checkpointBytes:   r.Counter("mangrove_store_checkpoint_bytes_total"),
	}
	for s := full; s <= fatal; s++ {
		c.errors[s] = r.Counter(`mangrove_store_errors_total{kind="` + s.String() + `"}`)
	}
	return c
}

// told adds a group whose first batch was committed at since, and was told now.
func (c *counters) told(since, now time.Time) {
	took := now.Sub(since)
	c.waitSeconds.Update(took.Seconds())
	c.longest.add(now, took)
}

// longest is the longest time of the last one to two minutes. Safe for concurrent use.
type longest struct {
	mu        sync.Mutex
	since     time.Time // of this minute
	this, old time.Duration
}

func (l *longest) add(now time.Time, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnLocked(now)
	l.this = max(l.this, d)
}

func (l *longest) get(now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turnLocked(now)
	return max(l.this, l.old)
}

func (l *longest) turnLocked(now time.Time) {
	switch passed := now.Sub(l.since); {
	case passed >= 2*time.Minute:
		l.since, l.this, l.old = now, 0, 0
	case passed >= time.Minute:
		l.since, l.this, l.old = l.since.Add(time.Minute), 0, l.this
	}
}

// logged adds one group that was written to the log as a record of size bytes.
func (c *counters) logged(size int, done applied) {
	c.commits.Inc()
	c.logBytes.Add(size)
	c.bytes.Add(done.bytes)
	c.bodiesWritten.Add(done.bodiesWritten)
	c.bodiesFreed.Add(done.bodiesFreed)
}

// checkpointed adds one checkpoint that wrote pages of so many bytes.
func (c *counters) checkpointed(done written, pages int, start time.Time) {
	c.checkpoints.Inc()
	c.checkpointSeconds.UpdateDuration(start)
	c.checkpointRecords.Add(done.records)
	c.checkpointBodies.Add(done.bodies)
	c.checkpointBytes.Add(done.bytes)
	c.pageBytes.Add(pages)
}

// watch registers what is read from s when somebody asks.
func (c *counters) watch(s *Store, r *metrics.Registry) {
	r.Gauge("mangrove_store_pending_batches", func() float64 { n, _ := s.Pending(); return float64(n) })
	r.Gauge("mangrove_store_pending_bytes", func() float64 { _, n := s.Pending(); return float64(n) })
	r.Gauge("mangrove_store_unsynced_batches", func() float64 { return float64(s.unsynced.now().batches) })
	r.Gauge("mangrove_store_unsynced_bytes", func() float64 { return float64(s.unsynced.now().bytes) })
	r.Gauge("mangrove_store_file_bytes", func() float64 { return float64(s.fileBytes()) })
	r.Gauge("mangrove_store_file_used_bytes", func() float64 { return float64(s.ckpt.used.Load()) })
	r.Gauge("mangrove_store_log_file_bytes", func() float64 { return float64(s.log.Size()) })
	r.Gauge("mangrove_store_delta_bytes", func() float64 {
		active, frozen := s.deltas.size()
		return float64(active.memory + frozen.memory)
	})
	r.Gauge("mangrove_store_written_bytes_per_batch", func() float64 {
		return float64(c.logBytes.Get()+c.pageBytes.Get()) / float64(max(1, c.batches.Get()))
	})
	r.Gauge("mangrove_store_longest_wait_seconds", func() float64 { return c.longest.get(time.Now()).Seconds() })
	r.Gauge("mangrove_store_file_free_bytes", func() float64 { return float64(s.fileBytes() - s.ckpt.used.Load()) })
	r.Gauge("mangrove_store_healthy", func() float64 {
		if s.Healthy() != nil {
			return 0
		}
		return 1
	})
}
