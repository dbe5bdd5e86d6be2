package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
)

func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	goleak.VerifyTestMain(m)
}

// told is a Waiter that gathers what it was told.
type told struct {
	ch chan error
}

func newTold() *told { return &told{ch: make(chan error, 100_000)} }

func (w *told) Committed(_ uint64, err error) { w.ch <- err }

// wait returns what the next batch was told.
func (w *told) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-w.ch:
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("got no Committed within 20 s")
		return nil
	}
}

func openTest(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// commit writes one batch and waits for it.
func commit(t testing.TB, s *Store, fill func(b *batch.Batch)) error {
	t.Helper()
	b := s.NewBatch()
	fill(b)
	return s.CommitWait(b)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, s *Store, table batch.Table, key string) string {
	t.Helper()
	v, err := s.Get(table, []byte(key))
	must(t, err)
	return string(v)
}

func body(text string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, text...) }
}

func TestPutGetScanReopen(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir})
	must(t, err)
	id := s.ID()
	must(t, commit(t, s, func(b *batch.Batch) {
		for _, k := range []string{"b", "a", "d", "c"} {
			b.Put(batch.Sessions, []byte(k), []byte("v"+k))
		}
		b.Put(batch.Retained, []byte("a"), nil)
	}))
	must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Sessions, []byte("b"), []byte("d")) }))
	must(t, s.Close())
	must(t, s.Close())

	s = openTest(t, Config{Dir: dir})
	if s.ID() != id || id == 0 {
		t.Errorf("got id %d, want %d and not 0", s.ID(), id)
	}
	var got []string
	must(t, s.Scan(batch.Sessions, nil, nil, func(k, v []byte) bool {
		got = append(got, string(k)+"="+string(v))
		return true
	}))
	if fmt.Sprint(got) != "[a=va d=vd]" {
		t.Errorf("got %v, want [a=va d=vd]", got)
	}
	if v, err := s.Get(batch.Retained, []byte("a")); err != nil || v == nil || len(v) != 0 {
		t.Errorf("got %v, %v, want an empty value", v, err)
	}
	if v, err := s.Get(batch.Retained, []byte("b")); err != nil || v != nil {
		t.Errorf("got %v, %v, want nil", v, err)
	}
}

func TestScanStopsAndBounds(t *testing.T) {
	s := openTest(t, Config{})
	must(t, commit(t, s, func(b *batch.Batch) {
		for i := range 100 {
			b.Put(batch.Queues, binary.BigEndian.AppendUint32(nil, uint32(i)), []byte{byte(i)})
		}
	}))
	n := 0
	must(t, s.Scan(batch.Queues, []byte{0, 0, 0, 10}, []byte{0, 0, 0, 20}, func(k, v []byte) bool { n++; return true }))
	if n != 10 {
		t.Errorf("got %d keys, want 10", n)
	}
	n = 0
	must(t, s.Scan(batch.Queues, []byte{0, 0, 0, 90}, nil, func(k, v []byte) bool { n++; return n < 3 }))
	if n != 3 {
		t.Errorf("got %d keys, want 3", n)
	}
}

func TestBodiesGoWithTheLastReference(t *testing.T) {
	s := openTest(t, Config{})
	encoded := 0
	must(t, commit(t, s, func(b *batch.Batch) {
		for n := range byte(3) {
			b.PutRef(batch.Queues, []byte{n}, 7, nil, func(dst []byte) []byte { encoded++; return append(dst, "hello"...) })
		}
	}))
	if encoded != 1 {
		t.Errorf("encode was called %d times, want 1", encoded)
	}
	for left := byte(3); left > 0; left-- {
		if got, err := s.Body(7); err != nil || string(got) != "hello" {
			t.Fatalf("with %d references: got %q, %v", left, got, err)
		}
		must(t, commit(t, s, func(b *batch.Batch) { b.Delete(batch.Queues, []byte{left - 1}) }))
	}
	if got, err := s.Body(7); err != nil || got != nil {
		t.Errorf("got %q, %v, want no body", got, err)
	}
}

func TestReferencesOfRecords(t *testing.T) {
	s := openTest(t, Config{})
	want := func(id uint64, text string) {
		t.Helper()
		if got, err := s.Body(id); err != nil || string(got) != text {
			t.Errorf("body %d: got %q, %v, want %q", id, got, err, text)
		}
	}
	must(t, commit(t, s, func(b *batch.Batch) {
		b.PutRef(batch.Retained, []byte("a"), 1, nil, body("one"))
		b.PutRef(batch.Queues, []byte("q1"), 1, []byte("rest"), body("one"))
		b.PutRef(batch.Queues, []byte("q2"), 2, nil, body("two"))
	}))
	v, err := s.Get(batch.Queues, []byte("q1"))
	if id, rest, ok := batch.RefID(v); err != nil || !ok || id != 1 || string(rest) != "rest" {
		t.Errorf("got %d, %q, %v, %v", id, rest, ok, err)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.PutRef(batch.Retained, []byte("a"), 2, nil, body("two")) }))
	want(1, "one")
	must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Queues, []byte("q"), nil) }))
	want(1, "")
	want(2, "two")
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Retained, []byte("a"), nil) }))
	want(2, "")
}

// gate holds the writer back, so that what is committed meanwhile becomes one group.
type gate struct {
	reached chan struct{}
	open    chan struct{}
	once    sync.Once
}

func newGate() *gate { return &gate{reached: make(chan struct{}), open: make(chan struct{})} }

func (g *gate) Committed(uint64, error) {
	g.once.Do(func() { close(g.reached) })
	<-g.open
}

// hold commits a batch whose waiter does not return before g.open is closed.
func (g *gate) hold(s *Store) {
	b := s.NewBatch()
	b.Put(batch.Seen, []byte("gate"), nil)
	b.Notify(g, 0)
	s.Commit(b)
	<-g.reached
}

// Who waits for a batch hears of it after those who wrote into it, and always.
func TestCommitWait(t *testing.T) {
	s, w := openTest(t, Config{}), newTold()
	fill := func(key string) *batch.Batch {
		b := s.NewBatch()
		b.Notify(w, 0)
		b.Put(batch.Queues, []byte(key), nil)
		return b
	}
	empty := s.NewBatch()
	empty.Notify(w, 0)
	for _, c := range []struct {
		name string
		b    *batch.Batch
		want error
	}{{"stable", fill("k"), nil}, {"refused", fill(""), batch.ErrKey}, {"empty", empty, nil}} {
		if err := s.CommitWait(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if len(w.ch) != 1 || !errors.Is(<-w.ch, c.want) {
			t.Errorf("%s: who wrote was not told before", c.name)
		}
	}
	must(t, s.Close())
	if err := s.CommitWait(fill("k")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v of a closed store, want ErrClosed", err)
	}
}

func TestGroupsWhatWaits(t *testing.T) {
	reg := metrics.New()
	s := openTest(t, Config{Metrics: reg})
	g := newGate()
	g.hold(s)
	before := reg.Counter("mangrove_store_commits_total").Get()
	w := newTold()
	for i := range 1000 {
		b := s.NewBatch()
		b.Put(batch.Queues, fmt.Append(nil, i), []byte("x"))
		b.Notify(w, 0)
		s.Commit(b)
	}
	if n, bytes := s.Pending(); n < 1000 || bytes == 0 {
		t.Errorf("got %d batches of %d bytes pending, want 1000", n, bytes)
	}
	close(g.open)
	for range 1000 {
		must(t, w.wait(t))
	}
	if got := reg.Counter("mangrove_store_commits_total").Get() - before; got != 1 {
		t.Errorf("got %d transactions for 1000 waiting batches, want 1", got)
	}
	if n, bytes := s.Pending(); n != 0 || bytes != 0 {
		t.Errorf("got %d batches of %d bytes pending, want none", n, bytes)
	}
}

func TestGroupBounds(t *testing.T) {
	reg := metrics.New()
	s := openTest(t, Config{Metrics: reg, MaxGroupBatches: 10, MaxGroupBytes: 1000})
	g := newGate()
	g.hold(s)
	before := reg.Counter("mangrove_store_commits_total").Get()
	w := newTold()
	put := func(n, size int) {
		for i := range n {
			b := s.NewBatch()
			b.Put(batch.Queues, fmt.Append(nil, size, "/", i), make([]byte, size))
			b.Notify(w, 0)
			s.Commit(b)
		}
	}
	put(25, 1)    // 3 groups by number
	put(2, 5_000) // one group each by size
	close(g.open)
	for range 27 {
		must(t, w.wait(t))
	}
	if got := reg.Counter("mangrove_store_commits_total").Get() - before; got != 5 {
		t.Errorf("got %d transactions, want 5", got)
	}
}

// ordered notes the order in which it is told.
type ordered struct {
	mu  sync.Mutex
	got []uint64
}

func (o *ordered) Committed(arg uint64, _ error) {
	o.mu.Lock()
	o.got = append(o.got, arg)
	o.mu.Unlock()
}

func TestWaitersAreToldInOrder(t *testing.T) {
	s := openTest(t, Config{MaxGroupBatches: 7})
	var o ordered
	for i := range uint64(500) {
		b := s.NewBatch()
		b.Put(batch.Queues, binary.BigEndian.AppendUint64(nil, i), nil)
		b.Notify(&o, 2*i)
		b.Notify(&o, 2*i+1)
		s.Commit(b)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("end"), nil) }))
	if len(o.got) != 1000 {
		t.Fatalf("got %d calls, want 1000", len(o.got))
	}
	for i, arg := range o.got {
		if arg != uint64(i) {
			t.Fatalf("call %d: got %d", i, arg)
		}
	}
}

func TestEmptyBatchIsToldAtOnce(t *testing.T) {
	s := openTest(t, Config{})
	g := newGate()
	g.hold(s)
	defer close(g.open)
	var o ordered
	b := s.NewBatch()
	b.Notify(&o, 5)
	if !b.Empty() {
		t.Error("a batch with a waiter only: got Empty false")
	}
	s.Commit(b)
	if fmt.Sprint(o.got) != "[5]" {
		t.Errorf("got %v, want [5]", o.got)
	}
}

func TestCommitAfterCloseIsRefused(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	must(t, err)
	must(t, s.Close())
	if err := commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, []byte("a"), nil) }); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if _, err := s.Get(batch.Queues, []byte("a")); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestCloseCommitsWhatIsQueued(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(Config{Dir: dir, MaxGroupBatches: 3})
	must(t, err)
	w := newTold()
	for i := range 100 {
		b := s.NewBatch()
		b.Put(batch.Queues, fmt.Append(nil, i), []byte("x"))
		b.Notify(w, 0)
		s.Commit(b)
	}
	must(t, s.Close())
	for range 100 {
		must(t, w.wait(t))
	}
	s = openTest(t, Config{Dir: dir})
	if get(t, s, batch.Queues, "99") != "x" {
		t.Error("the last queued batch is missing after Close")
	}
}

// What is new may have less than what another node has acknowledged: there takers may write more beside it.
func TestBoundsOfABatch(t *testing.T) {
	s := openTest(t, Config{})
	for _, c := range []struct {
		mib  int
		owed bool
		want error
	}{{49, false, ErrTooLarge}, {49, true, nil}, {61, true, ErrTooLarge}} {
		b := s.NewBatch()
		if c.owed {
			b.SetOwed()
		}
		b.Put(batch.Queues, []byte("k"), make([]byte, c.mib<<20))
		if err := s.CommitWait(b); !errors.Is(err, c.want) {
			t.Errorf("%d MiB, owed %v: got %v, want %v", c.mib, c.owed, err, c.want)
		}
	}
}

func TestBacklogIsRefused(t *testing.T) {
	s := openTest(t, Config{MaxPendingBytes: 10_000})
	g := newGate()
	g.hold(s)
	w := newTold()
	for i := range 3 {
		b := s.NewBatch()
		b.Put(batch.Queues, fmt.Append(nil, i), make([]byte, 6000))
		b.Notify(w, 0)
		s.Commit(b)
	}
	close(g.open)
	must(t, w.wait(t))
	for range 2 {
		if err := w.wait(t); !errors.Is(err, ErrBacklog) {
			t.Errorf("got %v, want ErrBacklog", err)
		}
	}
	if n, bytes := s.Pending(); n != 0 || bytes != 0 {
		t.Errorf("got %d, %d pending, want none", n, bytes)
	}
}
