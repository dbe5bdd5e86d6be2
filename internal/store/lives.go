package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// A life is one start of a data folder, and the random number that names it. What a node numbers, it numbers within its life: a copy of
// the folder, an old image put back and a restored backup give the same numbers again, but each in a life of its own.
//
//	Open ─ a new life in front of the earlier ones, on disk with the first numbers set aside ─→ Lives
//
// The folder knows its earlier lives, so that what was numbered in them is still known as its own. A life that an image does not
// know belongs to somebody else: the node no longer has what it published in it.

// MaxLives is how many lives a folder knows, the running one included; the oldest are forgotten first.
const MaxLives = 1024

// Records of the meta bucket that say whose folder it is.
var (
	metaIdentity = []byte("identity") // Store.ID, 8 bytes, when it is no longer the id that the database was made with
	metaOwner    = []byte("owner")    // Config.Owner of the last start
	metaLives    = []byte("lives")    // 8 bytes each, the newest first
)

// self is who a store is among others.
type self struct {
	id      uint64
	lives   []uint64 // the newest first; never changed in place
	renewed bool     // this start gave it another id
}

// ID is random and names the folder to other nodes. It was made with the database, or when another owner took the folder
// over (Config.Owner). Never 0.
func (s *Store) ID() uint64 { return s.self.id }

// Life names this start of the folder: it is random, and on disk before Open returns. Never 0.
func (s *Store) Life() uint64 { return s.self.lives[0] }

// Lives are this life and the earlier ones that the folder knows, the newest first, at most MaxLives. What was numbered before there were lives
// has the ID in their place: it is among them. The caller must not change the slice.
func (s *Store) Lives() []uint64 { return s.self.lives }

// Renewed tells that the ID is new since this start, because the folder was another owner's: what others know of it, they know
// under the ID of before.
func (s *Store) Renewed() bool { return s.self.renewed }

// beginLife notes a new life of the folder, and a new identity when the owner is another one than at the last start: then the folder is a
// copy of the other's, or was handed over.
func beginLife(meta *bolt.Bucket, owner string) (me self, was string, err error) {
	me = readSelf(meta)
	if was = string(meta.Get(metaOwner)); owner != "" && was != owner {
		if was != "" {
			if me, err = renew(meta, me); err != nil {
				return me, was, err
			}
		}
		err = meta.Put(metaOwner, []byte(owner))
	}
	if err == nil {
		me.lives = slices.Insert(me.lives, 0, newID())
		me.lives = me.lives[:min(len(me.lives), MaxLives)]
		err = putLives(meta, me.lives)
	}
	if err != nil {
		return me, was, fmt.Errorf("begin a life: %w", err)
	}
	return me, was, nil
}

func readSelf(meta *bolt.Bucket) (me self) {
	me.id, _ = getNumber(meta, metaID) // readFormat has seen it
	if id, ok := getNumber(meta, metaIdentity); ok {
		me.id = id
	}
	for b := meta.Get(metaLives); len(b) >= 8; b = b[8:] {
		me.lives = append(me.lives, binary.BigEndian.Uint64(b))
	}
	if len(me.lives) == 0 {
		me.lives = []uint64{me.id}
	}
	return me
}

func putLives(meta *bolt.Bucket, lives []uint64) error {
	value := make([]byte, 0, 8*len(lives))
	for _, life := range lives {
		value = binary.BigEndian.AppendUint64(value, life)
	}
	return meta.Put(metaLives, value)
}

// renew gives the folder another identity. What was numbered under the old one stays its own.
func renew(meta *bolt.Bucket, me self) (self, error) {
	if !slices.Contains(me.lives, me.id) {
		me.lives = append(me.lives, me.id)
	}
	me.id, me.renewed = newID(), true
	return me, errors.Join(putLives(meta, me.lives), putNumber(meta, metaIdentity, me.id))
}
