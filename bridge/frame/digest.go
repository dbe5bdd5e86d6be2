package frame

import "hash/fnv"

// Digest sums up a set of filters and their QoS, whatever the order in which they came: equal digests, equal sets. Both
// ends of a link must compute it alike, so how it is made belongs to the frames. Not safe for concurrent use.
type Digest struct {
	Count uint64 // of filters
	Sum   uint64 // of their hashes, modulo 2^64
}

// Add takes a filter in that is not in the set.
func (d *Digest) Add(filter string, qos byte) { d.Count++; d.Sum += entryHash(filter, qos) }

// Remove takes a filter out that is in the set with this QoS.
func (d *Digest) Remove(filter string, qos byte) { d.Count--; d.Sum -= entryHash(filter, qos) }

func entryHash(filter string, qos byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte{qos})
	h.Write([]byte(filter))
	return Spread(h.Sum64())
}

// Spread mixes the bits of a hash (the finaliser of splitmix64), so that sums of hashes stay far apart.
func Spread(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
