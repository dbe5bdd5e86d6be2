package store

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
	"mangrove/internal/store/tree"
)

// view is the state as of one moment:
//
//	layers[0]  what was written since the last checkpoint began
//	layers[1]  what a checkpoint is writing to the database just now; nil when there is none
//	tx         the database, before that checkpoint or after it: what it writes is hidden by layers[1] in either case
type view struct {
	s      *Store
	layers [2]*layer
	tx     *bolt.Tx
	open   [countsAt + 1]*bolt.Cursor // of the buckets used so far: opening one costs as much as looking a key up
	buf    []byte
	record record // what lookup looks for
	wanted kept   // the same for kept and body
}

// Places of the buckets in view.open, after those of the tables.
const (
	bodiesAt = int(batch.LastTable) + 1
	countsAt = bodiesAt + 1
)

// at returns the value of key in the bucket of that name, nil = none. i is the bucket's place in v.open.
func (v *view) at(i int, name, key []byte) ([]byte, error) {
	c := v.open[i]
	if c == nil {
		b := v.tx.Bucket(name)
		if b == nil {
			return nil, fmt.Errorf("bucket %q is missing in the database", name)
		}
		c = b.Cursor()
		v.open[i] = c
	}
	if found, value := c.Seek(key); bytes.Equal(found, key) {
		return value, nil
	}
	return nil, nil
}

// errMoved says that a checkpoint began between the layers and the transaction of a view.
var errMoved = errors.New("a checkpoint came between")

// view runs fn on the state of this moment. Neither waits for the other, the writer and fn.
func (s *Store) view(fn func(v *view) error) error {
	for {
		v, generation, pins := s.deltas.snapshot(s)
		err := s.read(func(tx *bolt.Tx) error {
			if s.deltas.generation.Load() != generation {
				return errMoved // tx may hold what is newer than the layers
			}
			v.tx = tx
			return fn(v)
		})
		s.deltas.release(pins)
		if err != errMoved {
			return err
		}
	}
}

// lookup finds a stored value; nil = none. below tells whether there is one below the newest layer.
func (v *view) lookup(t batch.Table, key []byte) (value []byte, below bool, err error) {
	v.record.key = key
	if r := v.layers[0].tables[t].Get(&v.record); r != nil {
		return r.value, r.below, nil
	}
	if v.layers[1] != nil {
		if r := v.layers[1].tables[t].Get(&v.record); r != nil {
			return r.value, r.value != nil, nil
		}
	}
	value, err = v.at(int(t), bucketName(t), key)
	return value, value != nil, err
}

// scan visits the stored keys from <= key < to (to nil = end) in order. below is as in lookup.
func (v *view) scan(t batch.Table, from, to []byte, visit func(key, value []byte, below bool) bool) error {
	b, err := tableBucket(v.tx, t)
	if err != nil {
		return err
	}
	m := merge{c: b.Cursor(), from: from}
	m.start(v, t)
	for {
		key, value, below := m.next()
		if key == nil || to != nil && bytes.Compare(key, to) >= 0 {
			return nil
		}
		if value != nil && !visit(key, value, below) {
			return nil
		}
	}
}

// merge walks the layers and the database side by side.
type merge struct {
	from   []byte
	layers [2]tree.Cursor[record]
	c      *bolt.Cursor
	key    []byte // where c stands
	value  []byte
}

func (m *merge) start(v *view, t batch.Table) {
	for i, l := range v.layers {
		if l != nil {
			m.layers[i] = l.tables[t].Seek(&record{key: m.from})
		}
	}
	m.key, m.value = m.c.Seek(m.from)
}

// next returns the lowest key with its newest value, which is nil when it was removed; key nil is the end.
func (m *merge) next() (key, value []byte, below bool) {
	key = m.key
	for i := range m.layers {
		if r := m.layers[i].Item(); r != nil && (key == nil || bytes.Compare(r.key, key) < 0) {
			key = r.key
		}
	}
	if key == nil {
		return nil, nil, false
	}
	if m.key != nil && bytes.Equal(m.key, key) {
		value, below = m.value, true
		m.key, m.value = m.c.Next()
	}
	for i := 1; i >= 0; i-- {
		if r := m.layers[i].Item(); r != nil && bytes.Equal(r.key, key) {
			value = r.value
			if i == 1 {
				below = value != nil
			}
			m.layers[i].Next()
		}
	}
	return key, value, below
}

// kept finds the state of a body on top of which the newest layer is to change it, and its size.
func (v *view) kept(id uint64) (k kept, size int, err error) {
	k.id, v.wanted.id = id, id
	known := false
	for i, l := range v.layers {
		if l == nil {
			continue
		}
		found := l.bodies.Get(&v.wanted)
		if found == nil {
			continue
		}
		if !known {
			k, known = *found, true
			if i == 1 {
				k.place, k.below = place{}, k.refs > 0
			}
		}
		if found.refs == 0 || found.place.record != 0 {
			return k, int(found.place.size), nil
		}
	}
	refs, size, err := v.references(bodyKey(id))
	if !known {
		k.refs, k.below = refs, refs > 0
	}
	return k, size, err
}

// body returns the bytes of a body, nil when there is none; they are valid until the next call.
func (v *view) body(id uint64) ([]byte, error) {
	v.wanted.id = id
	for _, l := range v.layers {
		if l == nil {
			continue
		}
		k := l.bodies.Get(&v.wanted)
		switch {
		case k == nil:
		case k.refs == 0:
			return nil, nil
		case k.place.record != 0:
			return v.logged(id, k.place)
		}
	}
	return v.at(bodiesAt, bodiesBucket, bodyKey(id))
}

// logged reads a body from the log.
func (v *view) logged(id uint64, p place) (body []byte, err error) {
	v.buf, err = v.s.readPlace(id, p, v.buf)
	return v.buf, err
}

// readPlace reads a body from the log into buf, or a larger one.
func (s *Store) readPlace(id uint64, p place, buf []byte) ([]byte, error) {
	if buf == nil || cap(buf) < int(p.size) {
		buf = make([]byte, p.size)
	}
	buf = buf[:p.size]
	if err := s.log.ReadPart(p.record, int(p.at), buf); err != nil {
		return nil, fmt.Errorf("read body %d: %w", id, err)
	}
	if sumOf(buf) != p.sum {
		return nil, fmt.Errorf("read body %d: %w: its bytes in log record %d have changed", id, ErrDamaged, p.record)
	}
	return buf, nil
}
