package store

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// applied counts what a group changed.
type applied struct {
	writes        int // records and bodies put or removed
	bytes         int // of keys and values put
	bodiesWritten int
	bodiesFreed   int
	strayReleases int // references given back that nobody had: a mistake of a caller
}

// apply writes the collapsed group into tx: ranges, then points, then the bodies whose references all of these
// changed. What comes out depends on the group and the state alone.
func (g *group) apply(tx *bolt.Tx) (done applied, err error) {
	g.collapse()
	for i := range g.ranges {
		if err := g.applyRange(tx, &g.ranges[i], &done); err != nil {
			return done, err
		}
	}
	if err := g.applyPoints(tx, &done); err != nil {
		return done, err
	}
	g.sumBodies()
	return done, g.applyBodies(tx, &done)
}

// rangeStep is how many keys of a range are gathered before they are removed.
const rangeStep = 4096

func (g *group) applyRange(tx *bolt.Tx, s *span, done *applied) error {
	b, err := tableBucket(tx, s.table)
	if err != nil {
		return err
	}
	from, to := storedKey(s.from), storedBound(s.to)
	for {
		keys := make([][]byte, 0, 64)
		c := b.Cursor()
		for k, v := c.Seek(from); k != nil && (to == nil || bytes.Compare(k, to) < 0) && len(keys) < rangeStep; k, v = c.Next() {
			if id, ok := refOf(loadedValue(k, v)); ok {
				g.refer(id, -1)
			}
			keys = append(keys, bytes.Clone(k))
		}
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return fmt.Errorf("delete from table %d: %w", s.table, err)
			}
		}
		done.writes += len(keys)
		if len(keys) < rangeStep {
			return nil
		}
	}
}

// storedBound is storedKey for the end of a range.
func storedBound(to []byte) []byte {
	if to == nil {
		return nil
	}
	return storedKey(to)
}

func (g *group) applyPoints(tx *bolt.Tx, done *applied) error {
	var b *bolt.Bucket
	var table Table
	for i := range g.points {
		p := &g.points[i]
		if p.table != table {
			var err error
			if b, err = tableBucket(tx, p.table); err != nil {
				return err
			}
			table = p.table
		}
		if err := g.applyPoint(b, p, done); err != nil {
			return fmt.Errorf("write to table %d: %w", p.table, err)
		}
	}
	return nil
}

func (g *group) applyPoint(b *bolt.Bucket, p *point, done *applied) error {
	key := storedKey(p.key)
	old := b.Get(key)
	if old == nil && p.value == nil {
		return nil
	}
	if id, ok := refOf(loadedValue(key, old)); ok {
		g.refer(id, -1)
	}
	done.writes++
	if p.value == nil {
		return b.Delete(key)
	}
	if id, ok := refOf(p.value); ok {
		g.refer(id, +1)
	}
	done.bytes += len(key) + len(p.value)
	return b.Put(key, storedValue(p.key, p.value))
}

func tableBucket(tx *bolt.Tx, t Table) (*bolt.Bucket, error) {
	if b := tx.Bucket(t.bucket()); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("table %d is missing in the database", t)
}
