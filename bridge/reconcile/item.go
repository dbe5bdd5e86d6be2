package reconcile

import "hash/fnv"

// Item is what a node holds of one topic.
type Item struct {
	Key   uint64 // KeyOf the topic
	Stamp uint64 // the version's time
	Tie   uint32 // of the origin: tells two changes of one Stamp apart
	Gone  bool   // a clearing
	Mine  bool   // published by clients of the node that holds it
	Topic string // "" when it came from the other side
}

// Undated is the Stamp of what was published before there were versions. When such an item is its holder's clients' own and the other
// side knows nothing of the topic, it was cleared there, and nobody kept the clearing: it stays where it is.
const Undated = 1

// cleared reports whether a topic of the other side, of which nothing is known here, holds nothing, or should not.
func (it *Item) cleared() bool { return it.Gone || it.Mine && it.Stamp == Undated }

// KeyOf is the hash of a topic, the same at all nodes.
func KeyOf(topic string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(topic))
	return mix(h.Sum64())
}

// TieOf is the hash of an origin, which is two numbers, the same at all nodes.
func TieOf(origin, seq uint64) uint32 { return uint32(mix(mix(origin) + seq)) }

// sum is what an item adds to a range's sum.
func (it *Item) sum() uint64 { return mix(it.Key + mix(it.Stamp+mix(uint64(it.Tie)))) }

// same reports whether two items of one topic are of the same change.
func (it *Item) same(o *Item) bool { return it.Stamp == o.Stamp && it.Tie == o.Tie }

// mix spreads the bits of a hash, so that sums of hashes stay far apart.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
