package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"mangrove/internal/batch"
	"mangrove/internal/oplog"
)

// model is what a Store is to hold, in the plainest way: operations one by one, references counted one by one.
type model struct {
	tables map[batch.Table]map[string]string // values as read back
	refers map[batch.Table]map[string]uint64 // records with a reference
	counts map[uint64]int
}

func newModel() *model {
	m := &model{tables: map[batch.Table]map[string]string{}, refers: map[batch.Table]map[string]uint64{}, counts: map[uint64]int{}}
	for t := batch.Table(1); t <= batch.LastTable; t++ {
		m.tables[t], m.refers[t] = map[string]string{}, map[string]uint64{}
	}
	return m
}

func (m *model) put(t batch.Table, k, v string) {
	m.delete(t, k)
	m.tables[t][k] = v
}

func (m *model) putRef(t batch.Table, k string, id uint64, rest string) {
	m.counts[id]++ // before the old one goes, or its body would be freed
	m.delete(t, k)
	m.tables[t][k] = string(binary.BigEndian.AppendUint64(nil, id)) + rest
	m.refers[t][k] = id
}

func (m *model) delete(t batch.Table, k string) {
	if id, ok := m.refers[t][k]; ok {
		m.counts[id]--
	}
	delete(m.refers[t], k)
	delete(m.tables[t], k)
}

func (m *model) deleteRange(t batch.Table, from, to string) {
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
func TestModel(t *testing.T) { eachLog(t, testModel) }

func testModel(t *testing.T, log func() func() (oplog.Log, error)) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := Config{Dir: t.TempDir(), OpenLog: log()}
		s, err := Open(cfg)
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
				if s, err = Open(cfg); err != nil {
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
	m.put(batch.Seen, "gate", "")
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
func operate(t *rapid.T, b *batch.Batch, m *model) {
	table := rapid.SampledFrom([]batch.Table{batch.Queues, batch.Retained}).Draw(t, "table")
	key := rapid.SampledFrom([]string{"a", "b", "bb", "c", "d" + strings.Repeat("l", longKey), "e"}).Draw(t, "key")
	id := rapid.Uint64Range(1, 4).Draw(t, "id")
	encode := func(dst []byte) []byte { return append(dst, bodyText(id)...) }
	switch rapid.IntRange(0, 3).Draw(t, "kind") {
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
	}
}

// What comes and goes within a group is not written at all, not even to the log.
func TestComingAndGoingCostsNothing(t *testing.T) {
	s := openTest(t, Config{})
	g := newGate()
	g.hold(s)
	w := newTold()
	send := func(fill func(b *batch.Batch)) {
		b := s.NewBatch()
		fill(b)
		b.Notify(w, 0)
		s.Commit(b)
	}
	send(func(b *batch.Batch) { b.Put(batch.Queues, []byte("k"), []byte("v")) })
	send(func(b *batch.Batch) { b.Delete(batch.Queues, []byte("k")) })
	send(func(b *batch.Batch) { b.PutRef(batch.Queues, []byte("q"), 2, nil, body("y")) })
	send(func(b *batch.Batch) { b.DeleteRange(batch.Queues, nil, nil) })
	_, before := s.log.Bounds()
	close(g.open)
	for range 4 {
		must(t, w.wait(t))
	}
	if _, got := s.log.Bounds(); got != before {
		t.Errorf("got log record %d, want still %d", got, before)
	}
}

func TestKeyBounds(t *testing.T) {
	s := openTest(t, Config{})
	for _, n := range []int{0, batch.MaxKey + 1} {
		err := commit(t, s, func(b *batch.Batch) {
			b.Put(batch.Queues, []byte("other"), nil)
			b.Put(batch.Queues, make([]byte, n), nil)
		})
		if err == nil {
			t.Errorf("key of %d bytes: got no error", n)
		}
	}
	if v, err := s.Get(batch.Queues, []byte("other")); err != nil || v != nil {
		t.Error("part of a refused batch was written")
	}
	for _, n := range []int{1, longKey, longKey + 1, 65_535, batch.MaxKey} {
		key := bytes.Repeat([]byte("k"), n)
		must(t, commit(t, s, func(b *batch.Batch) { b.Put(batch.Queues, key, []byte("v")) }))
		if get(t, s, batch.Queues, string(key)) != "v" {
			t.Errorf("key of %d bytes is not found", n)
		}
	}
	n := 0
	must(t, s.Scan(batch.Queues, []byte("k"), nil, func(k, v []byte) bool { n++; return true }))
	if n != 5 {
		t.Errorf("got %d keys, want 5", n)
	}
	must(t, commit(t, s, func(b *batch.Batch) { b.DeleteRange(batch.Queues, []byte("k"), []byte("l")) }))
	must(t, s.Scan(batch.Queues, nil, nil, func(k, v []byte) bool { t.Errorf("key of %d bytes is left", len(k)); return true }))
}
