package bridge

import (
	"hash/fnv"

	"mangrove/bridge/frame"
)

// addTo and takeFrom keep a digest in line with the set it sums up, whatever the order of changes.
func addTo(d *frame.Digest, filter string, qos byte)    { d.Count++; d.Sum += entryHash(filter, qos) }
func takeFrom(d *frame.Digest, filter string, qos byte) { d.Count--; d.Sum -= entryHash(filter, qos) }

func entryHash(filter string, qos byte) uint64 {
	h := fnv.New64a()
	h.Write([]byte{qos})
	h.Write([]byte(filter))
	return mix(h.Sum64())
}

// mix spreads the bits of a hash, so that sums of hashes stay far apart.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// interestSet is a set of filters with their QoS and its digest. Not safe for concurrent use.
type interestSet struct {
	filters map[string]byte
	digest  frame.Digest
}

// put adds or changes a filter. had is its QoS before.
func (s *interestSet) put(filter string, qos byte) (had byte, existed bool) {
	if s.filters == nil {
		s.filters = map[string]byte{}
	}
	if had, existed = s.filters[filter]; existed {
		takeFrom(&s.digest, filter, had)
	}
	s.filters[filter] = qos
	addTo(&s.digest, filter, qos)
	return had, existed
}

func (s *interestSet) remove(filter string) (existed bool) {
	had, existed := s.filters[filter]
	if existed {
		takeFrom(&s.digest, filter, had)
		delete(s.filters, filter)
	}
	return existed
}
