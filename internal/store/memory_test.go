package store

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"mangrove/internal/batch"
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
		must(t, commit(t, s, func(b *batch.Batch) {
			for i := at; i < at+step; i++ {
				b.PutRef(batch.Queues, fmt.Appendf(nil, "%012d", i), uint64(i+1), nil, func(dst []byte) []byte { return append(dst, make([]byte, 256)...) })
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
	const n, size = 50_000, 50_000 * 256
	dir := t.TempDir()
	s := openTest(t, Config{Dir: dir})
	fill(t, s, n)
	for tries := 0; mapped(t, dir) < size/2; tries++ { // a checkpoint that was still under way may have given pages back
		if tries == 10 {
			t.Fatalf("got %d bytes mapped when all was read, want %d", mapped(t, dir), size/2)
		}
		for id := range n {
			if b, err := s.Body(uint64(id + 1)); err != nil || len(b) != 256 {
				t.Fatalf("body %d: got %d bytes, %v", id+1, len(b), err)
			}
		}
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, fmt.Appendf(nil, "%012d", 0)) }))
	checkpointNow(t, s)
	for deadline := time.Now().Add(10 * time.Second); mapped(t, dir) > size/4; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d bytes mapped after a checkpoint, want at most %d", mapped(t, dir), size/4)
		}
	}
}

// mapped is how many bytes of the database in dir are in memory and mapped.
func mapped(t *testing.T, dir string) (bytes int) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	must(t, err)
	_, ours, ok := strings.Cut(string(b), filepath.Join(dir, dataFile)+"\n")
	_, rss, found := strings.Cut(ours, "\nRss:")
	if _, err := fmt.Sscan(rss, &bytes); !ok || !found || err != nil {
		t.Fatalf("find the mapping of %s: %v", dir, err)
	}
	return bytes << 10
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
