package store

import (
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// Bodies and their reference counts:
//
//	bodies[id] absent                      0 references
//	bodies[id] there, counts[id] absent    1
//	bodies[id] there, counts[id] = n       n >= 2
//
// so that the usual message, with one taker, costs no count, and counting rewrites no body.

var errNoBodies = errors.New("the buckets of message bodies are missing in the database")

func (g *group) applyBodies(tx *bolt.Tx, done *applied) error {
	if len(g.bodies) == 0 {
		return nil
	}
	bodies, counts := tx.Bucket(bodiesBucket), tx.Bucket(countsBucket)
	if bodies == nil || counts == nil {
		return errNoBodies
	}
	bodies.FillPercent = 0.9 // ids rise: pages fill from the left and are not split again
	for i := range g.bodies {
		if c := &g.bodies[i]; c.delta != 0 {
			if err := c.apply(bodies, counts, done); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *bodyChange) apply(bodies, counts *bolt.Bucket, done *applied) error {
	key := bodyKey(c.id)
	before := references(bodies, counts, key)
	after := before + c.delta
	switch {
	case after < 0, after > 0 && before == 0 && c.body == nil:
		// Given back more often than taken, or taken without its bytes.
		done.strayReleases++
		after = max(0, after)
		if c.body == nil && before == 0 {
			return nil
		}
	case before == 0 && after == 0:
		return nil
	}
	return c.write(bodies, counts, key, before, after, done)
}

func (c *bodyChange) write(bodies, counts *bolt.Bucket, key []byte, before, after int, done *applied) error {
	done.writes++
	if before == 0 && after > 0 {
		done.bodiesWritten++
		done.bytes += len(key) + len(c.body)
		if err := bodies.Put(key, c.body); err != nil {
			return err
		}
	}
	if before > 0 && after == 0 {
		done.bodiesFreed++
		if err := bodies.Delete(key); err != nil {
			return err
		}
	}
	if after > 1 {
		done.bytes += len(key) + 1
		return counts.Put(key, binary.AppendUvarint(nil, uint64(after)))
	}
	if before > 1 {
		return counts.Delete(key)
	}
	return nil
}

func references(bodies, counts *bolt.Bucket, key []byte) int {
	if n, w := binary.Uvarint(counts.Get(key)); w > 0 {
		return int(n)
	}
	if bodies.Get(key) != nil {
		return 1
	}
	return 0
}
