package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/oplog/logtest"
	"mangrove/internal/sim"
	"mangrove/internal/wal"
	"mangrove/internal/wal/waltest"
)

// A folder of format 1 has a database and no log.
func TestFolderOfFormat1(t *testing.T) {
	dir := closedStore(t, 100)
	must(t, os.RemoveAll(logPath(dir)))
	edit(t, dir, func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		return errors.Join(meta.Delete(metaApplied), putNumber(meta, metaFormat, 1))
	})
	s := openTest(t, Config{Dir: dir})
	must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, []byte("key 000007")) }))
	n := 0
	must(t, s.Scan(batch.Queues, nil, nil, func(k, v []byte) bool { n++; return true }))
	if n != 99 {
		t.Errorf("got %d records, want 99", n)
	}
}

// copyFolder copies a data folder as it is.
func copyFolder(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	must(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// A log that does not go on where the database ends is refused with what to do.
func TestLogThatDoesNotFollow(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, SegmentBytes: 8 << 10})
	must(t, err)
	fill := func() {
		for range 100 {
			must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, fmt.Append(nil, s.NextID()), make([]byte, 300)) }))
		}
	}
	fill()
	early := copyFolder(t, dir)
	checkpointNow(t, s)
	fill()
	checkpointNow(t, s)
	must(t, s.Close())
	for name, change := range map[string]func(dir string) error{
		"log gone": func(dir string) error { return os.RemoveAll(logPath(dir)) },
		"log of before": func(dir string) error {
			return errors.Join(os.RemoveAll(logPath(dir)), os.Rename(logPath(early), logPath(dir)))
		},
		"database gone": func(dir string) error { return os.Remove(filepath.Join(dir, dataFile)) },
	} {
		broken := copyFolder(t, dir)
		must(t, change(broken))
		_, err := Open(Config{Dir: broken, SegmentBytes: 8 << 10})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), broken) || !strings.Contains(err.Error(), "restore a backup") {
			t.Errorf("%s: got %v, want ErrDamaged with the folder and what to do", name, err)
		}
	}
	s, err = Open(Config{Dir: dir, SegmentBytes: 8 << 10})
	must(t, err)
	must(t, s.Close())
}

// After Close nothing is replayed; after the process ended without it, all that came after the last checkpoint.
func TestReplayAfterCloseAndAfterCrash(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	must(t, err)
	for i := range 10 {
		must(t, commit(t, s, func(b *batch.Batch) { b.PutRef(batch.Queues, fmt.Append(nil, i), uint64(i+1), nil, body("text")) }))
	}
	crashed := copyFolder(t, dir)
	must(t, s.Close())
	for dir, want := range map[string]uint64{crashed: 10, dir: 0} {
		reg := metrics.New()
		s := openTest(t, Config{Dir: dir, Metrics: reg})
		if got := reg.Counter("mangrove_store_replayed_records_total").Get(); got != want {
			t.Errorf("got %d records replayed, want %d", got, want)
		}
		if got, err := s.Body(10); err != nil || string(got) != "text" {
			t.Errorf("got %q, %v, want the body", got, err)
		}
	}
}

// soft is a slack that tests wait for.
const soft = batch.Slack(5 * time.Millisecond)

// Batches that need no sync are told without one, and are synced soon.
func TestSlack(t *testing.T) {
	disk := sim.NewDisk()
	s := openTest(t, Config{Faults: &Faults{Log: waltest.Files{Disk: disk}}})
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("first"), nil) }))
	must(t, s.log.Stock()) // its syncs are over
	syncs := func() int { return disk.Calls().Syncs }
	before := syncs()
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("unsynced"), nil); b.SetSlack(batch.Unsynced) }))
	if got := syncs(); got != before {
		t.Errorf("Unsynced: got %d syncs, want none", got-before)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("some day"), nil); b.SetSlack(batch.Slack(time.Hour)) }))
	if got := syncs(); got != before {
		t.Errorf("an hour: got %d syncs, want none", got-before)
	}
	if got := s.unsynced.now().batches; got != 2 {
		t.Errorf("got %d batches not synced, want 2", got)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("soft"), nil); b.SetSlack(soft) })) // the earliest counts
	for deadline := time.Now().Add(10 * time.Second); syncs() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("with slack: got no sync within 10 s")
		}
	}
	before = syncs()
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("synced"), nil) }))
	if got := s.unsynced.now(); got != (extent{}) {
		t.Errorf("got %+v not synced, want nothing", got)
	}
	if got := syncs(); got != before+1 {
		t.Errorf("Synced: got %d syncs, want 1", got-before)
	}
	// What changes nothing because a soft batch did it already is stable all the same.
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("again"), nil); b.SetSlack(batch.Unsynced) }))
	before = syncs()
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("again"), nil) }))
	if got := syncs(); got != before+1 {
		t.Errorf("Synced and nothing to write: got %d syncs, want 1", got-before)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("more"), nil); b.SetSlack(batch.Unsynced) }))
	checkpointNow(t, s)
	if got := s.unsynced.now(); got != (extent{}) {
		t.Errorf("after a checkpoint: got %+v not synced, want nothing", got)
	}
}

// A sync that is due does not wait for the window of the next commit.
func TestSlackEndsInsideGroupWindow(t *testing.T) {
	disk := sim.NewDisk()
	s := openTest(t, Config{Faults: &Faults{Log: waltest.Files{Disk: disk}}, GroupWindow: time.Hour})
	must(t, s.log.Stock()) // its syncs are over
	must(t, commit(t, s, func(b *batch.Batch) {
		b.Put(batch.Queues, []byte("soft"), nil)
		b.SetSlack(batch.Slack(200 * time.Millisecond))
	}))
	before := disk.Calls().Syncs
	b := s.NewBatch()
	b.Put(batch.Queues, []byte("has an hour"), nil)
	s.Commit(b)
	for deadline := time.Now().Add(10 * time.Second); disk.Calls().Syncs == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("got no sync within 10 s")
		}
	}
}

// brokenFiles is a disk whose syncs fail from some moment on.
type brokenFiles struct {
	waltest.Files
	broken *atomic.Bool
}

type brokenFile struct {
	wal.File
	broken *atomic.Bool
}

func (f brokenFiles) Open(name string, create bool) (wal.File, error) {
	file, err := f.Files.Open(name, create)
	if err != nil {
		return nil, err
	}
	return brokenFile{file, f.broken}, nil
}

func (f brokenFile) Sync() error {
	if f.broken.Load() {
		return errors.New("input/output error")
	}
	return f.File.Sync()
}

// A failed sync of what was told without one stops the store, and nobody is told twice.
func TestFailedSyncOfSoftBatches(t *testing.T) {
	var broken atomic.Bool
	fatal := make(chan error, 1)
	s := openTest(t, Config{Faults: &Faults{Log: brokenFiles{waltest.Files{Disk: sim.NewDisk()}, &broken}}, OnFatal: func(err error) { fatal <- err }})
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("first"), nil) }))
	w := newTold()
	b := s.NewBatch()
	b.Put(batch.Queues, []byte("soft"), nil)
	b.SetSlack(soft)
	b.Notify(w, 0)
	broken.Store(true)
	s.Commit(b)
	must(t, w.wait(t))
	if err := <-fatal; !errors.Is(err, ErrFatal) || !errors.Is(s.Healthy(), ErrFatal) {
		t.Errorf("got %v, healthy %v, want ErrFatal", err, s.Healthy())
	}
	if len(w.ch) > 0 {
		t.Error("the batch was told twice")
	}
}

// Batches that come by themselves share groups; somebody who waits for each answer is answered at once.
func TestGroupWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		reg := metrics.New()
		s := openTest(t, Config{Metrics: reg})
		put := func() *batch.Batch {
			b := s.NewBatch()
			b.Put(batch.Queues, fmt.Append(nil, s.NextID()), nil)
			return b
		}
		told := make(answer, n)
		for range n {
			time.Sleep(time.Millisecond)
			b := put()
			b.Notify(told, 0)
			s.Commit(b)
		}
		time.Sleep(defaultGroupWindow)
		if synctest.Wait(); len(told) != n {
			t.Errorf("%d batches are stable a window after the last one, want all %d", len(told), n)
		}
		if groups := reg.Counter("mangrove_store_commits_total").Get(); groups > n/4 {
			t.Errorf("%d batches at a thousand a second were written in %d groups", n, groups)
		}
		start := time.Now()
		for range n {
			time.Sleep(time.Millisecond)
			must(t, s.CommitWait(put()))
		}
		if took := time.Since(start); took > n*time.Millisecond*11/10 {
			t.Errorf("%d batches, one after the other each millisecond, took %v", n, took)
		}
	})
}

// Scans see the state of one moment while the writer and checkpoints go on.
func TestScansBesideCheckpoints(t *testing.T) {
	s := openTest(t, Config{CheckpointBytes: 20 << 10, SegmentBytes: 16 << 10})
	const keys = 50
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					scanGeneration(t, s, keys)
				}
			}
		})
	}
	for g := range uint64(150) {
		must(t, commit(t, s, func(b *batch.Batch) {
			for k := range keys {
				b.PutRef(batch.Queues, fmt.Appendf(nil, "%03d", k), 1+g*keys+uint64(k), binary.BigEndian.AppendUint64(nil, g), body(fmt.Sprint(g)))
			}
		}))
	}
	close(stop)
	readers.Wait()
	if s.count.checkpoints.Get() < 3 {
		t.Errorf("got %d checkpoints, want several", s.count.checkpoints.Get())
	}
}

// scanGeneration wants all keys to be of one batch.
func scanGeneration(t *testing.T, s *Store, keys int) {
	var generations []uint64
	err := s.Scan(batch.Queues, nil, nil, func(k, v []byte) bool {
		_, rest, _ := batch.RefID(v)
		generations = append(generations, binary.BigEndian.Uint64(rest))
		return true
	})
	if err != nil {
		t.Error(err)
	}
	for _, g := range generations {
		if g != generations[0] || len(generations) != keys {
			t.Errorf("got generations %v, want %d times the same", generations, keys)
			return
		}
	}
}

// What is queued lives on disk.
func TestQueuedMessagesDoNotStayInMemory(t *testing.T) {
	s := openTest(t, Config{})
	before := heap()
	const messages, most = 200_000, 48 << 20 // the bound of two deltas, and of what a B+tree of bbolt needs beside
	w := newTold()
	for n := range messages {
		b := s.NewBatch()
		b.PutRef(batch.Queues, binary.BigEndian.AppendUint64(nil, uint64(n)), uint64(n+1), []byte("0123456789"), body(strings.Repeat("x", 256)))
		b.Notify(w, 0)
		s.Commit(b)
		if n%1000 == 999 {
			for range 1000 {
				must(t, w.wait(t))
			}
		}
	}
	if got := heap() - before; got > most {
		t.Errorf("the heap grew by %d MiB, want at most %d", got>>20, most>>20)
	} else {
		t.Logf("the heap grew by %d MiB, peak of the process's heap %d MiB", got>>20, heapReserved()>>20)
	}
	if got, err := s.Body(messages / 2); err != nil || len(got) != 256 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func heapReserved() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys
}

// bbolt copies nothing in the middle of a checkpoint while the database is smaller than what is mapped: see mapAhead.
func TestCheckpointMapsNothingAnew(t *testing.T) {
	s := openTest(t, Config{})
	for i := range 20 {
		must(t, commit(t, s, func(b *batch.Batch) {
			for j := range 1000 {
				b.Put(batch.Sessions, fmt.Appendf(nil, "key %03d %06d", j, i), make([]byte, 100))
			}
		}))
		must(t, s.flush())
	}
	stats := s.data.db.Stats()
	if got := stats.TxStats.GetNodeDeref(); got != 0 {
		t.Errorf("got %d pages copied while the database grew to %d bytes, want none", got, s.fileBytes())
	}
}

// Logs of before count references that belong to no record; they are replayed as they were meant. [promise P1]
func TestLogOfBefore(t *testing.T) {
	dir, medium := t.TempDir(), logtest.NewMedium(1)
	cfg := Config{Dir: dir, OpenLog: medium.Open}
	s, err := Open(cfg)
	must(t, err)
	must(t, commit(t, s, func(b *batch.Batch) { b.PutRef(batch.Queues, []byte("k"), 4, nil, body("four")) }))
	id := s.ID()
	must(t, s.Close())

	log, err := medium.Open()
	must(t, err)
	keep := func(id, refs byte, text string) string {
		return string([]byte{5, 0, 0, 0, 0, 0, 0, 0, id, 0, 0, 0, refs, 0, 0, 0, byte(len(text))}) + text
	}
	release := func(id byte) string { return string([]byte{6, 0, 0, 0, 0, 0, 0, 0, id}) }
	for _, ops := range []string{
		keep(1, 2, "one") + keep(2, 1, "two") + keep(4, 1, ""),
		release(1) + release(2) + release(3), // there never was a third one
		release(2) + keep(5, 1, "five") + release(5),
	} {
		_, err := log.Append(append(appendRecordHead(nil, id, 0), ops...), false)
		must(t, err)
	}
	must(t, log.Sync())
	must(t, log.Close())

	for range 2 { // from the log, then from the database
		s, err = Open(cfg)
		must(t, err)
		for id, want := range map[uint64]int{1: 1, 2: 0, 3: 0, 4: 2, 5: 0} {
			must(t, s.view(func(v *view) error {
				k, _, err := v.kept(id)
				if k.refs != want {
					t.Errorf("body %d: got %d references, want %d", id, k.refs, want)
				}
				return err
			}))
		}
		if b, err := s.Body(1); err != nil || string(b) != "one" {
			t.Errorf("got %q, %v, want the body", b, err)
		}
		must(t, s.Close())
	}
	s, err = Open(cfg)
	must(t, err)
	must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, []byte("k")) }))
	if b, err := s.Body(4); err != nil || string(b) != "four" {
		t.Errorf("got %q, %v, want the body that a log of before refers to as well", b, err)
	}
	must(t, s.Close())
}
