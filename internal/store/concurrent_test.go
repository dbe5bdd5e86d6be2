package store

import (
	"encoding/binary"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
)

// Readers see whole batches while the writer works and the file grows, and ErrClosed after Close.
func TestReadersBesideTheWriter(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	must(t, err)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := readPair(t, s); err != nil {
					if !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					return
				}
			}
		})
	}
	for n := range uint64(120) {
		must(t, commit(t, s, func(b *batch.Batch) {
			value := binary.BigEndian.AppendUint64(nil, n)
			b.Put(batch.Sessions, []byte("left"), value)
			b.Put(batch.Sessions, []byte("right"), value)
			b.PutRef(batch.Queues, value, n, nil, body(strings.Repeat("x", 5000)))
		}))
	}
	must(t, s.Close()) // while they read
	close(stop)
	readers.Wait()
}

func readPair(t *testing.T, s *Store) error {
	var pair []uint64
	err := s.Scan(batch.Sessions, []byte("left"), nil, func(k, v []byte) bool {
		pair = append(pair, binary.BigEndian.Uint64(v))
		return true
	})
	if err != nil {
		return err
	}
	if len(pair) == 2 && pair[0] != pair[1] {
		t.Errorf("got %v: half a batch", pair)
	}
	if len(pair) == 0 {
		return nil
	}
	got, err := s.Body(pair[0])
	if err == nil && len(got) != 5000 {
		t.Errorf("body %d: got %d bytes, want 5000", pair[0], len(got))
	}
	return err
}

// chain commits the next batch from inside Committed.
type chain struct {
	s    *Store
	left int
	done chan struct{}
}

func (c *chain) Committed(_ uint64, err error) {
	if c.left--; err != nil || c.left == 0 {
		close(c.done)
		return
	}
	b := c.s.NewBatch()
	b.Put(batch.Seen, []byte("k"), []byte{byte(c.left)})
	b.Notify(c, 0)
	c.s.Commit(b)
}

func TestCommitFromInsideCommitted(t *testing.T) {
	s := openTest(t, Config{})
	c := &chain{s: s, left: 50, done: make(chan struct{})}
	b := s.NewBatch()
	b.Put(batch.Seen, []byte("k"), nil)
	b.Notify(c, 0)
	s.Commit(b)
	select {
	case <-c.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the chain did not end within 10 s")
	}
	if c.left != 0 {
		t.Errorf("got %d batches left", c.left)
	}
}

func TestMetrics(t *testing.T) {
	reg := metrics.New()
	s := openTest(t, Config{Metrics: reg})
	must(t, commit(t, s, func(b *batch.Batch) { b.PutRef(batch.Queues, []byte("k"), 1, nil, body("x")) }))
	must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, []byte("k")) }))
	var out strings.Builder
	reg.Write(&out)
	for _, want := range []string{
		"mangrove_store_commits_total 2", "mangrove_store_batches_total 2", "mangrove_store_commit_seconds_count 2",
		"mangrove_store_group_batches_count 2", "mangrove_store_bodies_written_total 1", "mangrove_store_bodies_freed_total 1",
		"mangrove_store_healthy 1", "mangrove_store_pending_batches 0", "mangrove_store_file_bytes ", `mangrove_store_errors_total{kind="fatal"} 0`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got\n%s\nwant %q in it", out.String(), want)
		}
	}
}
