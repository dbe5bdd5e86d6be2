package store

import (
	"encoding/binary"
	"errors"

	bolt "go.etcd.io/bbolt"
)

// Bodies and their reference counts in the database:
//
//	bodies[id] absent                      0 references
//	bodies[id] there, counts[id] absent    1
//	bodies[id] there, counts[id] = n       n >= 2
//
// so that the usual message, with one taker, costs no count, and counting rewrites no body.

var errNoBodies = errors.New("the buckets of message bodies are missing in the database")

// references returns how many there are to a body in the database, and its size.
func (v *view) references(key []byte) (refs, size int, err error) {
	body, err := v.at(bodiesAt, bodiesBucket, key)
	if err != nil || body == nil {
		return 0, 0, err
	}
	count, err := v.at(countsAt, countsBucket, key)
	if n, w := binary.Uvarint(count); w > 0 {
		return int(n), len(body), err
	}
	return 1, len(body), err
}

// writeBodies puts the bodies of d into the database. What came and went since the last checkpoint is not among them.
func (s *Store) writeBodies(tx *bolt.Tx, d *delta, done *written) error {
	if d.bodies.Len() == 0 {
		return nil
	}
	bodies, counts := tx.Bucket(bodiesBucket), tx.Bucket(countsBucket)
	if bodies == nil || counts == nil {
		return errNoBodies
	}
	bodies.FillPercent = 0.9 // ids rise: pages fill from the left and are not split again
	var text arena
	for c := d.bodies.Seek(nil); c.Item() != nil; c.Next() {
		if err := s.writeBody(bodies, counts, c.Item(), &text, done); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) writeBody(bodies, counts *bolt.Bucket, k *kept, text *arena, done *written) error {
	key := bodyKey(k.id)
	done.records++
	if k.refs == 0 {
		return errors.Join(bodies.Delete(key), counts.Delete(key))
	}
	if k.place.record != 0 {
		body, err := s.readPlace(k.id, k.place, text.take(int(k.place.size)))
		if err != nil {
			return err
		}
		done.bodies++
		done.bytes += len(key) + len(body)
		if err := bodies.Put(key, body); err != nil {
			return err
		}
	}
	switch {
	case k.refs > 1:
		done.bytes += len(key) + 1
		return counts.Put(key, binary.AppendUvarint(nil, uint64(k.refs)))
	case k.below:
		return counts.Delete(key)
	}
	return nil
}
