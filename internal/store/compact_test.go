package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
)

// emptied is a store whose database is mostly free pages, with 400 records of 4000 bytes.
func emptied(t *testing.T, cfg Config) *Store {
	t.Helper()
	const many, left = 2000, 400
	s := openTest(t, cfg)
	for n := 0; n < many; n += 100 {
		must(t, commit(t, s, func(b *batch.Batch) {
			for i := n; i < n+100; i++ {
				b.PutRef(batch.Queues, fmt.Appendf(nil, "%06d", i), uint64(i+1), nil, func(dst []byte) []byte { return append(dst, make([]byte, 4000)...) })
			}
		}))
	}
	checkpointNow(t, s)
	must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Queues, fmt.Appendf(nil, "%06d", left), nil) }))
	return s
}

func wantEmptied(t *testing.T, s *Store) {
	t.Helper()
	if r, err := s.Report(); err != nil || r.Found != 0 || r.Records[batch.Queues] != 400 || r.Bodies != 400 {
		t.Errorf("got %+v, %v, want 400 bodies", r, err)
	}
}

// waitFor waits until a counter has a value.
func waitFor(t *testing.T, c *metrics.Counter, want uint64) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); c.Get() < want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen within 30 s")
		}
	}
}

// The file shrinks by itself, while batches are committed and read.
func TestCompactsByItself(t *testing.T) {
	dir := t.TempDir()
	s := emptied(t, Config{Dir: dir, CompactBytes: 1 << 20})
	stop := make(chan struct{})
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := commit(t, s, func(b *batch.Batch) { b.Put(batch.Sessions, fmt.Append(nil, n%50), fmt.Append(nil, n)) }); err != nil {
					t.Error(err)
				}
				if b, err := s.Body(uint64(1 + n%400)); err != nil || len(b) != 4000 {
					t.Errorf("body of record %d: got %d bytes, %v", n%400, len(b), err)
				}
			}
		})
	}
	before := s.fileBytes()
	checkpointNow(t, s)
	waitFor(t, s.count.compactions, 1)
	close(stop)
	others.Wait()
	wantEmptied(t, s)
	if after := s.fileBytes(); after > before/2 {
		t.Errorf("got %d bytes from %d", after, before)
	}
	checkpointNow(t, s)
	must(t, s.Close())
	wantEmptied(t, openTest(t, Config{Dir: dir}))
}

func TestCompactNow(t *testing.T) {
	s := emptied(t, Config{CompactBytes: -1})
	checkpointNow(t, s)
	before, after, err := s.CompactNow()
	if err != nil || after > before/2 || after != s.fileBytes() {
		t.Errorf("got %d bytes from %d, %v; the file has %d", after, before, err, s.fileBytes())
	}
	wantEmptied(t, s)
	must(t, s.Close())
	if _, _, err := s.CompactNow(); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

// Who reads the old file when it is replaced goes on, and the store does not close it meanwhile.
func TestCompactionLeavesReadersAlone(t *testing.T) {
	s := emptied(t, Config{CompactBytes: 1 << 20})
	seen := 0
	must(t, s.Scan(batch.Queues, nil, nil, func(_, _ []byte) bool {
		if seen++; seen == 1 {
			checkpointNow(t, s)
			waitFor(t, s.count.compactions, 1)
			if err := commit(t, s, func(b *batch.Batch) { b.Put(batch.Sessions, []byte("a"), nil) }); err != nil {
				t.Error(err)
			}
		}
		return true
	}))
	if seen != 400 {
		t.Errorf("got %d records, want 400", seen)
	}
}

// A crash at any stage leaves a store that opens with everything in it.
func TestCrashWhileCompacting(t *testing.T) {
	dir, copies := t.TempDir(), t.TempDir()
	s := emptied(t, Config{Dir: dir, CompactBytes: 1 << 20, SegmentBytes: 64 << 10})
	var stages []stage
	s.ckpt.compact.stage = func(at stage) error { // set before the first checkpoint that makes it due
		stages = append(stages, at)
		return os.CopyFS(filepath.Join(copies, fmt.Sprint(len(stages))), os.DirFS(dir))
	}
	checkpointNow(t, s)
	waitFor(t, s.count.compactions, 1)
	must(t, s.Close())
	if n := len(stages); n < 4 || stages[n-3] != stageCopied || stages[n-2] != stageRenamed || stages[n-1] != stageSynced {
		t.Errorf("got the stages %v", stages)
	}
	for i, at := range stages {
		crashed := filepath.Join(copies, fmt.Sprint(i+1))
		_, err := os.Stat(filepath.Join(crashed, newFile))
		if half := err == nil; half != (at == stageStep || at == stageCopied) {
			t.Errorf("%s: state.new is there: %v", at, half)
		}
		wantEmptied(t, openTest(t, Config{Dir: crashed}))
		if _, err := os.Stat(filepath.Join(crashed, newFile)); err == nil {
			t.Errorf("%s: state.new is still there", at)
		}
	}
}

// What goes wrong before the rename is no harm; after it nobody knows which file a crash would leave.
func TestCompactionFails(t *testing.T) {
	for _, at := range []stage{stageStep, stageCopied, stageRenamed} {
		t.Run(string(at), func(t *testing.T) {
			dir := t.TempDir()
			s := emptied(t, Config{Dir: dir, CompactBytes: 1 << 20})
			failed := make(chan struct{})
			s.ckpt.compact.stage = func(now stage) error {
				if now != at {
					return nil
				}
				defer close(failed)
				return errors.New("no luck")
			}
			checkpointNow(t, s)
			select {
			case <-failed:
			case <-time.After(30 * time.Second):
				t.Fatal("it did not get there within 30 s")
			}
			err := commit(t, s, func(b *batch.Batch) { b.Put(batch.Sessions, []byte("a"), nil) })
			if at != stageRenamed {
				must(t, err)
				wantEmptied(t, s)
			}
			err = s.Close()
			if at == stageRenamed != errors.Is(s.Healthy(), ErrFatal) {
				t.Errorf("got %v, %v", err, s.Healthy())
			}
			wantEmptied(t, openTest(t, Config{Dir: dir}))
		})
	}
}
