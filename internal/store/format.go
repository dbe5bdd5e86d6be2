package store

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// Format is the version of what is on disk. A store opens its own and all earlier ones.
const Format = 1

// Records of the meta bucket; each value is 8 bytes, big-endian.
var (
	metaFormat = []byte("format") // Format
	metaID     = []byte("id")     // Store.ID
	metaNext   = []byte("next")   // numbers up to this one may have been given by NextID
	metaProbe  = []byte("probe")  // rewritten to see whether the disk takes writes again
)

// layOut makes the buckets that are missing, and the records of a new database.
func layOut(tx *bolt.Tx) error {
	names := [][]byte{metaBucket, bodiesBucket, countsBucket}
	for t := Table(1); t <= lastTable; t++ {
		names = append(names, t.bucket())
	}
	for _, name := range names {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	if meta.Get(metaID) != nil {
		return nil
	}
	if err := putNumber(meta, metaID, newID()); err != nil {
		return err
	}
	return putNumber(meta, metaFormat, Format)
}

// newID is a random number that is not 0.
func newID() uint64 {
	for {
		var b [8]byte
		crand.Read(b[:]) // never fails
		if id := binary.BigEndian.Uint64(b[:]); id != 0 {
			return id
		}
	}
}

// readFormat checks the version and returns the store's id.
func readFormat(tx *bolt.Tx) (id uint64, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return 0, fmt.Errorf("%w: it holds no store", ErrDamaged)
	}
	format, ok := getNumber(meta, metaFormat)
	if !ok {
		return 0, fmt.Errorf("%w: it holds no format version", ErrDamaged)
	}
	if format > Format {
		return 0, fmt.Errorf("%w: format %d, this version knows up to %d: "+
			"start the version of mangrove that wrote it, or restore a backup made before the upgrade", ErrNewer, format, Format)
	}
	if id, ok = getNumber(meta, metaID); !ok || id == 0 {
		return 0, fmt.Errorf("%w: it holds no store id", ErrDamaged)
	}
	return id, nil
}

func getNumber(b *bolt.Bucket, key []byte) (uint64, bool) {
	v := b.Get(key)
	if len(v) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(v), true
}

func putNumber(b *bolt.Bucket, key []byte, n uint64) error {
	return b.Put(key, binary.BigEndian.AppendUint64(nil, n))
}
