package store

import (
	crand "crypto/rand"
	"encoding/binary"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
)

// Format is the version of what is on disk. A store opens its own and all earlier ones.
//
//	1  state.db alone
//	2  state.db as of the last checkpoint, and the operation log after it
//	3  messages at rest and records of retained messages may have a version; clearings are kept; the folder knows its lives (lives.go)
const Format = 3

// Records of the meta bucket; each value is 8 bytes, big-endian.
var (
	metaFormat  = []byte("format")  // Format
	metaID      = []byte("id")      // made with the database; see lives.go
	metaNext    = []byte("next")    // numbers up to this one may have been given by NextID
	metaApplied = []byte("applied") // log record up to which the database holds
)

// layOut makes the buckets that are missing, and the records of a new database.
func layOut(tx *bolt.Tx) error {
	names := [][]byte{metaBucket, bodiesBucket, countsBucket}
	for t := batch.Table(1); t <= batch.LastTable; t++ {
		names = append(names, bucketName(t))
	}
	for _, name := range names {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	if meta.Get(metaID) == nil {
		if err := putNumber(meta, metaID, newID()); err != nil {
			return err
		}
	}
	if format, _ := getNumber(meta, metaFormat); format == Format {
		return nil
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

// heading is what the database says of itself.
type heading struct{ format, id, next, applied uint64 }

// readFormat checks the version.
func readFormat(tx *bolt.Tx) (h heading, err error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return h, fmt.Errorf("%w: it holds no store", ErrDamaged)
	}
	var ok bool
	if h.format, ok = getNumber(meta, metaFormat); !ok {
		return h, fmt.Errorf("%w: it holds no format version", ErrDamaged)
	}
	if h.format > Format {
		return h, fmt.Errorf("%w: format %d, this version knows up to %d: "+
			"start the version of mangrove that wrote it, or restore a backup made before the upgrade", ErrNewer, h.format, Format)
	}
	if h.id, ok = getNumber(meta, metaID); !ok || h.id == 0 {
		return h, fmt.Errorf("%w: it holds no store id", ErrDamaged)
	}
	h.next, _ = getNumber(meta, metaNext)       // absent: none were given
	h.applied, _ = getNumber(meta, metaApplied) // absent: none of the log
	return h, nil
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
