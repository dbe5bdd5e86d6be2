package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is what a Store is to hold, in the plainest way: operations one by one, references counted one by one.
type model struct {
	tables map[Table]map[string]string // values as read back
	refers map[Table]map[string]uint64 // records with a reference
	counts map[uint64]int
}

func newModel() *model {
	m := &model{tables: map[Table]map[string]string{}, refers: map[Table]map[string]uint64{}, counts: map[uint64]int{}}
	for t := Table(1); t <= lastTable; t++ {
		m.tables[t], m.refers[t] = map[string]string{}, map[string]uint64{}
	}
	return m
}

func (m *model) put(t Table, k, v string) {
	m.delete(t, k)
	m.tables[t][k] = v
}

func (m *model) putRef(t Table, k string, id uint64, rest string) {
	m.counts[id]++ // before the old one goes, or its body would be freed
	m.delete(t, k)
	m.tables[t][k] = string(binary.BigEndian.AppendUint64(nil, id)) + rest
	m.refers[t][k] = id
}

func (m *model) delete(t Table, k string) {
	if id, ok := m.refers[t][k]; ok {
		m.counts[id]--
	}
	delete(m.refers[t], k)
	delete(m.tables[t], k)
}

func (m *model) deleteRange(t Table, from, to string) {
	for k := range m.tables[t] {
		if k >= from && (to == "" || k < to) {
			m.delete(t, k)
		}
	}
}

// bodyText is the body every batch brings for id.
func bodyText(id uint64) string {
	return fmt.Sprintf("body %d %s", id, strings.Repeat("x", int(id%7)*100))
}

func check(t *rapid.T, s *Store, m *model) {
	for table, want := range m.tables {
		var keys []string
		err := s.Scan(table, nil, nil, func(k, v []byte) bool {
			keys = append(keys, string(k))
			if want[string(k)] != string(v) {
				t.Fatalf("table %d, key %q: got %q, want %q", table, k, v, want[string(k)])
			}
			return true
		})
		if err != nil || len(keys) != len(want) || !slices.IsSorted(keys) {
			t.Fatalf("table %d: got keys %q, %v, want %d in order", table, keys, err, len(want))
		}
	}
	for id, n := range m.counts {
		got, err := s.Body(id)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && got != nil || n > 0 && string(got) != bodyText(id) {
			t.Fatalf("body %d with %d references: got %q", id, n, got)
		}
	}
	checkCounts(t, s, m)
}

// checkCounts looks at the counts themselves.
func checkCounts(t *rapid.T, s *Store, m *model) {
	err := s.view(func(v *view) error {
		for id, n := range m.counts {
			if got, _, err := v.kept(id); err != nil || got.refs != n {
				t.Fatalf("body %d: got %d references, %v, want %d", id, got.refs, err, n)
			}
		}
		bodies, counts := v.tx.Bucket(bodiesBucket), v.tx.Bucket(countsBucket)
		if got := bodies.Stats().KeyN; got > len(m.counts) {
			t.Fatalf("got %d bodies in the database, want at most %d", got, len(m.counts))
		}
		return counts.ForEach(func(k, v []byte) error {
			if bodies.Get(k) == nil {
				t.Fatalf("a count without a body: %x", k)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Random batches, some grouped and some not, do what the same operations do one by one.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		s, err := Open(Config{Dir: dir})
		if err != nil {
			rt.Fatal(err)
		}
		m := newModel()
		for range rapid.IntRange(1, 6).Draw(rt, "groups") {
			runGroup(rt, s, m)
			check(rt, s, m)
			if rapid.IntRange(0, 2).Draw(rt, "checkpoint") == 0 {
				checkpointNow(t, s)
				check(rt, s, m)
			}
			if rapid.IntRange(0, 3).Draw(rt, "reopen") == 0 {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				if s, err = Open(Config{Dir: dir}); err != nil {
					rt.Fatal(err)
				}
				check(rt, s, m)
			}
		}
		if err := s.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

// runGroup commits some batches so that they become one group.
func runGroup(t *rapid.T, s *Store, m *model) {
	g := newGate()
	g.hold(s)
	m.put(Seen, "gate", "")
	w := newTold()
	n := rapid.IntRange(1, 5).Draw(t, "batches")
	for range n {
		b := s.NewBatch()
		for range rapid.IntRange(1, 8).Draw(t, "operations") {
			operate(t, b, m)
		}
		b.Notify(w, 0)
		s.Commit(b)
	}
	close(g.open)
	for range n {
		if err := <-w.ch; err != nil {
			t.Fatal(err)
		}
	}
}

// operate does one random operation on both.
func operate(t *rapid.T, b *Batch, m *model) {
	table := rapid.SampledFrom([]Table{Queues, Retained}).Draw(t, "table")
	key := rapid.SampledFrom([]string{"a", "b", "bb", "c", "d" + strings.Repeat("l", longKey), "e"}).Draw(t, "key")
	id := rapid.Uint64Range(1, 4).Draw(t, "id")
	encode := func(dst []byte) []byte { return append(dst, bodyText(id)...) }
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		v := rapid.StringN(0, 10, 20).Draw(t, "value")
		b.Put(table, []byte(key), []byte(v))
		m.put(table, key, v)
	case 1:
		b.PutRef(table, []byte(key), id, []byte("rest"), encode)
		m.putRef(table, key, id, "rest")
	case 2:
		b.Delete(table, []byte(key))
		m.delete(table, key)
	case 3:
		to := rapid.SampledFrom([]string{"", "b", "c", "z"}).Draw(t, "to")
		var end []byte
		if to != "" {
			end = []byte(to)
		}
		b.DeleteRange(table, []byte(key), end)
		m.deleteRange(table, key, to)
	case 4:
		b.Keep(id, encode)
		m.counts[id]++
	case 5:
		if m.counts[id] > m.held(id) { // a caller gives back only what it took
			b.Release(id)
			m.counts[id]--
		}
	}
}

// held is how many of a body's references belong to records.
func (m *model) held(id uint64) (n int) {
	for _, refers := range m.refers {
		for _, r := range refers {
			if r == id {
				n++
			}
		}
	}
	return n
}

func TestReleaseOfWhatIsNotThere(t *testing.T) {
	s := openTest(t, Config{})
	must(t, commit(t, s, func(b *Batch) { b.Release(3) }))
	must(t, commit(t, s, func(b *Batch) { b.Keep(3, body("x")) }))
	must(t, commit(t, s, func(b *Batch) { b.Release(3); b.Release(3) }))
	if got, err := s.Body(3); err != nil || got != nil {
		t.Errorf("got %q, %v, want nothing", got, err)
	}
	if got := s.count.strayReleases.Get(); got != 2 {
		t.Errorf("got %d stray releases counted, want 2", got)
	}
}

// What comes and goes within a group is not written at all, not even to the log.
func TestComingAndGoingCostsNothing(t *testing.T) {
	s := openTest(t, Config{})
	g := newGate()
	g.hold(s)
	w := newTold()
	send := func(fill func(b *Batch)) {
		b := s.NewBatch()
		fill(b)
		b.Notify(w, 0)
		s.Commit(b)
	}
	send(func(b *Batch) { b.Put(Queues, []byte("k"), []byte("v")); b.Keep(1, body("x")) })
	send(func(b *Batch) { b.Delete(Queues, []byte("k")); b.Release(1) })
	send(func(b *Batch) { b.PutRef(Queues, []byte("q"), 2, nil, body("y")) })
	send(func(b *Batch) { b.DeleteRange(Queues, nil, nil) })
	before := s.log.Last()
	close(g.open)
	for range 4 {
		must(t, w.wait(t))
	}
	if got := s.log.Last(); got != before {
		t.Errorf("got log record %d, want still %d", got, before)
	}
}

func TestKeyBounds(t *testing.T) {
	s := openTest(t, Config{})
	for _, n := range []int{0, MaxKey + 1} {
		err := commit(t, s, func(b *Batch) {
			b.Put(Queues, []byte("other"), nil)
			b.Put(Queues, make([]byte, n), nil)
		})
		if err == nil {
			t.Errorf("key of %d bytes: got no error", n)
		}
	}
	if v, err := s.Get(Queues, []byte("other")); err != nil || v != nil {
		t.Error("part of a refused batch was written")
	}
	for _, n := range []int{1, longKey, longKey + 1, 65_535, MaxKey} {
		key := bytes.Repeat([]byte("k"), n)
		must(t, commit(t, s, func(b *Batch) { b.Put(Queues, key, []byte("v")) }))
		if get(t, s, Queues, string(key)) != "v" {
			t.Errorf("key of %d bytes is not found", n)
		}
	}
	n := 0
	must(t, s.Scan(Queues, []byte("k"), nil, func(k, v []byte) bool { n++; return true }))
	if n != 5 {
		t.Errorf("got %d keys, want 5", n)
	}
	must(t, commit(t, s, func(b *Batch) { b.DeleteRange(Queues, []byte("k"), []byte("l")) }))
	must(t, s.Scan(Queues, nil, nil, func(k, v []byte) bool { t.Errorf("key of %d bytes is left", len(k)); return true }))
}

func FuzzOps(f *testing.F) {
	var b Batch
	b.Put(Queues, []byte("key"), []byte("value"))
	b.PutRef(Queues, []byte("key"), 9, []byte("rest"), body("text"))
	b.Delete(Retained, []byte("key"))
	b.DeleteRange(Seen, []byte("a"), []byte("b"))
	b.DeleteRange(Seen, []byte("a"), nil)
	b.Keep(7, body("x"))
	b.Release(7)
	f.Add(b.ops)
	f.Fuzz(func(t *testing.T, ops []byte) {
		for len(ops) > 0 {
			_, rest, err := nextOp(ops)
			if err != nil {
				return
			}
			if len(rest) >= len(ops) {
				t.Fatal("an operation took no bytes")
			}
			ops = rest
		}
	})
}

func TestOpsCutAtEveryByte(t *testing.T) {
	for _, fill := range []func(b *Batch){
		func(b *Batch) { b.Put(Queues, []byte("key"), []byte("value")) },
		func(b *Batch) { b.Delete(Queues, []byte("key")) },
		func(b *Batch) { b.DeleteRange(Queues, []byte("a"), []byte("b")) },
		func(b *Batch) { b.DeleteRange(Queues, []byte("a"), nil) },
		func(b *Batch) { b.Keep(1, body("text")) },
		func(b *Batch) { b.Release(1) },
	} {
		var b Batch
		fill(&b)
		if _, rest, err := nextOp(b.ops); err != nil || len(rest) != 0 {
			t.Errorf("% x: got %d bytes left, %v", b.ops, len(rest), err)
		}
		for n := range b.ops {
			if _, _, err := nextOp(b.ops[:n]); err == nil {
				t.Errorf("% x cut at %d: got no error", b.ops, n)
			}
		}
	}
}

func TestPooledBatchIsEmptyAgain(t *testing.T) {
	s := openTest(t, Config{})
	for i := range 2000 {
		b := s.NewBatch()
		if !b.Empty() || b.Size() != 0 || len(b.kept.few) != 0 || len(b.kept.many) != 0 {
			t.Fatalf("batch %d is not empty", i)
		}
		for id := range uint64(i%20 + 1) {
			b.Keep(id, body("x"))
			b.Keep(id, func([]byte) []byte { t.Fatal("encoded twice"); return nil })
			b.Release(id)
			b.Release(id)
		}
		s.Commit(b)
	}
}
