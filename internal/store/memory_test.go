package store

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
)

// residentFile is the memory of mapped files that counts as this process's, in bytes.
func residentFile(t testing.TB) (n int) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc/self/status here")
	}
	_, rest, _ := strings.Cut(string(text), "\nRssFile:")
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// fill puts n messages of 256 bytes into the queue of a session that is away, and into the database.
func fill(t testing.TB, s *Store, n int) {
	const step = 1000
	for at := 0; at < n; at += step {
		must(t, commit(t, s, func(b *Batch) {
			for i := at; i < at+step; i++ {
				b.PutRef(Queues, fmt.Appendf(nil, "%012d", i), uint64(i+1), nil, func(dst []byte) []byte { return append(dst, make([]byte, 256)...) })
			}
		}))
	}
	checkpointNow(t, s)
}

// What was read of the database does not count as memory of the process for long.
func TestMappedPagesAreGivenBack(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("pages are given back on Linux only")
	}
	const n = 50_000
	s := openTest(t, Config{})
	fill(t, s, n)
	before := residentFile(t)
	for id := range n {
		if b, err := s.Body(uint64(id + 1)); err != nil || len(b) != 256 {
			t.Fatalf("body %d: got %d bytes, %v", id+1, len(b), err)
		}
	}
	read := residentFile(t)
	must(t, commit(t, s, func(b *Batch) { b.Delete(Queues, fmt.Appendf(nil, "%012d", 0)) }))
	checkpointNow(t, s)
	if after := residentFile(t); read-before < n*256/2 || after-before > (read-before)/4 {
		t.Errorf("mapped: %d bytes, %d when all was read, %d after a checkpoint", before, read, after)
	}
}

// BenchmarkOpen opens a store with a million queued messages.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(Config{Dir: dir})
	must(b, err)
	fill(b, s, 1_000_000)
	must(b, s.Close())
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for b.Loop() {
		s, err := Open(Config{Dir: dir})
		must(b, err)
		b.StopTimer()
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(int64(after.HeapInuse)-int64(before.HeapInuse))/(1<<20), "MiB-heap")
		b.ReportMetric(float64(residentFile(b))/(1<<20), "MiB-mapped")
		must(b, s.Close())
		b.StartTimer()
	}
}
