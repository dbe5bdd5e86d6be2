package store

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"mangrove/internal/batch"
)

// Names of the buckets in state.db that are no tables.
var (
	metaBucket   = []byte("meta")   // what the store knows of itself, see format.go
	bodiesBucket = []byte("bodies") // body id (8 bytes, big-endian) → bytes of the body
	countsBucket = []byte("counts") // body id → number of references (uvarint), when it is not 1
)

// bucketName is how state.db knows a table: its number as one byte.
func bucketName(t batch.Table) []byte { return []byte{byte(t)} }

// tableBucket returns the bucket of a table.
func tableBucket(tx *bolt.Tx, t batch.Table) (*bolt.Bucket, error) {
	if b := tx.Bucket(bucketName(t)); b != nil {
		return b, nil
	}
	return nil, fmt.Errorf("table %d is missing in the database", t)
}
