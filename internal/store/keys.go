package store

import (
	"crypto/sha256"
	"encoding/binary"

	"mangrove/internal/batch"
)

// bbolt takes keys of at most 32,768 bytes, MQTT topics may have 65,535. A longer key is stored as
//
//	key = first longKey bytes, SHA-256 of the whole key     value = uvarint length, other bytes of the key, value
//
// which no short key can be mistaken for, since those have at most longKey bytes. Keys that share
// their first longKey bytes are therefore visited in no particular order.
const longKey = 32000

// storedKey is how bbolt knows key.
func storedKey(key []byte) []byte {
	if len(key) <= longKey {
		return key
	}
	sum := sha256.Sum256(key)
	return append(append(make([]byte, 0, longKey+len(sum)), key[:longKey]...), sum[:]...)
}

// storedValue is what is stored for key.
func storedValue(key, value []byte) []byte {
	if len(key) <= longKey {
		return value
	}
	return append(batch.AppendBytes(nil, key[longKey:]), value...)
}

// loadedValue undoes storedValue. nil when it cannot be.
func loadedValue(stored, v []byte) batch.Value {
	if len(stored) > longKey {
		_, v, _ = batch.CutBytes(v)
	}
	if value := batch.Value(v); value.Valid() {
		return value
	}
	return nil
}

// loadedKey undoes storedKey.
func loadedKey(stored, v []byte) []byte {
	if len(stored) <= longKey {
		return stored
	}
	rest, _, _ := batch.CutBytes(v)
	return append(append(make([]byte, 0, longKey+len(rest)), stored[:longKey]...), rest...)
}

func bodyKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// bodyID undoes bodyKey.
func bodyID(key []byte) (id uint64, ok bool) {
	if len(key) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key), true
}
