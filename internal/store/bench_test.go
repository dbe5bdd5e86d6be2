package store

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
)

// benchBatch is what one message of 256 bytes for one durable taker costs, and the removal of an earlier one.
func benchBatch(s *Store, n uint64, payload []byte) *batch.Batch {
	b := s.NewBatch()
	var key [12]byte
	binary.BigEndian.PutUint64(key[4:], n)
	b.PutRef(batch.Queues, key[:], n, nil, func(dst []byte) []byte { return append(dst, payload...) })
	if n > 10_000 {
		binary.BigEndian.PutUint64(key[4:], n-10_000)
		b.Delete(batch.Queues, key[:])
	}
	return b
}

func BenchmarkCommit(b *testing.B) {
	for _, kind := range []struct {
		name       string
		committers int
	}{{"1", 1}, {"10", 10}, {"100", 100}, {"1000", 1000}} {
		b.Run("committers="+kind.name, func(b *testing.B) {
			reg := metrics.New()
			s := openTest(b, Config{Metrics: reg})
			before := writtenBytes(b)
			benchCommit(b, s, kind.committers)
			b.ReportMetric(float64(reg.Counter("mangrove_store_batches_total").Get())/float64(reg.Counter("mangrove_store_commits_total").Get()), "batches/commit")
			checkpointNow(b, s)
			b.ReportMetric(float64(reg.Counter("mangrove_store_log_bytes_total").Get())/float64(b.N), "logB/op")
			b.ReportMetric(float64(reg.Counter("mangrove_store_page_bytes_total").Get())/float64(b.N), "pageB/op")
			b.ReportMetric(float64(writtenBytes(b)-before)/float64(b.N), "deviceB/op")
		})
	}
}

// writtenBytes is what this process has had written to devices, as the kernel counts it.
func writtenBytes(b *testing.B) (n int64) {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		b.Skip("no /proc/self/io here")
	}
	_, rest, _ := strings.Cut(string(text), "\nwrite_bytes: ")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

func benchCommit(b *testing.B, s *Store, committers int) {
	payload := make([]byte, 256)
	var next atomic.Uint64
	tickets := make(chan struct{}, committers)
	var wg sync.WaitGroup
	for range committers {
		wg.Go(func() {
			for range tickets {
				if err := s.CommitWait(benchBatch(s, next.Add(1), payload)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ReportAllocs()
	for b.Loop() {
		tickets <- struct{}{}
	}
	close(tickets)
	wg.Wait()
}

// BenchmarkStall commits 20,000 messages a second, which all stay, and tells how long the slowest of them waited: with checkpoints, and without.
func BenchmarkStall(b *testing.B) {
	for _, kind := range []struct {
		name  string
		bytes int
	}{{"8MiB", 8 << 20}, {"4MiB", 4 << 20}, {"2MiB", 2 << 20}, {"none", 1 << 30}} {
		b.Run("checkpoints="+kind.name, func(b *testing.B) {
			s := openTest(b, Config{CheckpointBytes: kind.bytes, MaxDeltaBytes: max(16<<20, kind.bytes)})
			w := &latencies{came: make([]time.Time, b.N), took: make([]time.Duration, b.N)}
			payload := make([]byte, 256)
			w.left.Add(b.N)
			for n := range b.N {
				if n%20 == 0 {
					time.Sleep(time.Millisecond)
				}
				w.came[n] = time.Now()
				writes := s.NewBatch()
				writes.PutRef(batch.Queues, binary.BigEndian.AppendUint64(nil, uint64(n)), uint64(n+1), nil, func(dst []byte) []byte { return append(dst, payload...) })
				writes.Notify(w, uint64(n))
				s.Commit(writes)
			}
			w.left.Wait()
			slices.Sort(w.took)
			b.ReportMetric(float64(w.took[b.N/2].Microseconds())/1e3, "ms-p50")
			b.ReportMetric(float64(w.took[b.N*999/1000].Microseconds())/1e3, "ms-p99.9")
			b.ReportMetric(float64(w.took[b.N-1].Microseconds())/1e3, "ms-max")
			b.ReportMetric(float64(s.count.checkpoints.Get()), "checkpoints")
			b.ReportMetric(float64(s.count.pageBytes.Get())/float64(b.N), "pageB/op")
		})
	}
}

// latencies is a waiter that notes when batch arg was told.
type latencies struct {
	came []time.Time
	took []time.Duration
	left sync.WaitGroup
}

func (w *latencies) Committed(arg uint64, _ error) {
	w.took[arg] = time.Since(w.came[arg])
	w.left.Done()
}

func BenchmarkBatch(b *testing.B) {
	s := openTest(b, Config{})
	payload := make([]byte, 256)
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		n++
		benchBatch(s, n, payload).Settle(nil)
	}
}

// BenchmarkCollapse is the writer's own work for a group of 1,000 messages, without the database.
func BenchmarkCollapse(b *testing.B) {
	s := openTest(b, Config{})
	var batches []*batch.Batch
	for n := range uint64(1000) {
		batches = append(batches, benchBatch(s, 20_000+n, make([]byte, 256)))
	}
	var g group
	b.ReportAllocs()
	for b.Loop() {
		for _, w := range batches {
			if err := g.add(w.Ops(), 0); err != nil {
				b.Fatal(err)
			}
		}
		g.collapse()
		g.sumBodies()
		g.reset()
	}
}

func BenchmarkNextID(b *testing.B) {
	s := openTest(b, Config{})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s.NextID()
		}
	})
}

func BenchmarkBody(b *testing.B) {
	s := openTest(b, Config{})
	must(b, commit(b, s, func(w *batch.Batch) {
		for id := range uint64(10_000) {
			w.PutRef(batch.Queues, binary.BigEndian.AppendUint64(nil, id), id, nil, func(dst []byte) []byte { return append(dst, make([]byte, 256)...) })
		}
	}))
	id := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		id = (id + 1) % 10_000
		if v, err := s.Body(id); err != nil || len(v) != 256 {
			b.Fatal(len(v), err)
		}
	}
}
