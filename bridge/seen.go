package bridge

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"mangrove/internal/store"
	"mangrove/mqtt"
)

// seen knows which messages were taken in already, whatever way they came: a set of numbers for
// each origin, exact within a window.
//
//	Seq  ──── chunk number (Seq / 512) ──┬── bit (Seq mod 512)
//	origin store → sorted chunks of 64 bytes, the highest maxChunks of them
//
// A high-water mark would not do: after failover, and over several paths, numbers of one origin come with
// gaps and out of order. The window counts chunks that exist, not numbers: only a part of what an origin
// numbers comes this way, and its numbers jump at each of its restarts. A number below the window is taken
// for new: better a repeat than a loss.
//
// Marks are written with the messages they stand for. When such a batch is refused they are taken back, see
// forget. Safe for concurrent use.
type seen struct {
	maxChunks  int // of one origin
	maxOrigins int
	beyond     func() // counts numbers below the window

	mu      sync.Mutex
	origins map[uint64]*originSeen
	clock   uint64 // counts marks, for the least recently used origin
	epoch   uint64 // counts forget: whoever saw a repeat in an earlier epoch cannot rely on it
}

type originSeen struct {
	chunks []*chunk // by number
	used   uint64
}

type chunk struct {
	number uint64
	bits   [chunkBits / 64]uint64
}

const (
	chunkBits   = 512
	seenChunks  = 2048 // twice the default window of a link, should each message have a chunk to itself
	seenOrigins = 1024 // at the bound the origin not heard of for longest is forgotten
)

func newSeen(maxChunks, maxOrigins int, beyond func()) *seen {
	return &seen{maxChunks: maxChunks, maxOrigins: maxOrigins, beyond: beyond, origins: map[uint64]*originSeen{}}
}

// load reads the table.
func (s *seen) load(st *store.Store) error {
	var bad error
	err := st.Scan(store.Seen, nil, nil, func(k, v []byte) bool {
		if len(k) != 16 || len(v) != chunkBits/8 {
			bad = fmt.Errorf("seen record %x: got %d bytes under a key of %d, want %d under 16", k, len(v), len(k), chunkBits/8)
			return false
		}
		o := s.origins[binary.BigEndian.Uint64(k)]
		if o == nil {
			o = new(originSeen)
			s.origins[binary.BigEndian.Uint64(k)] = o
		}
		c := &chunk{number: binary.BigEndian.Uint64(k[8:])}
		for i := range c.bits {
			c.bits[i] = binary.BigEndian.Uint64(v[8*i:])
		}
		o.chunks = append(o.chunks, c)
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("load seen messages: %w", err)
	}
	return nil
}

// touched collects the chunks that a frame's marks lie in, to write each once.
type touched []touchedChunk

type touchedChunk struct {
	origin uint64
	c      *chunk
}

func (t *touched) add(origin uint64, c *chunk) {
	each := touchedChunk{origin, c}
	if n := len(*t); n > 0 && (*t)[n-1] == each || slices.Contains(*t, each) {
		return
	}
	*t = append(*t, each)
}

// mark notes o and reports whether it is new. The caller writes t into b, where evictions go already. A
// repeat's chunk is written too, so that b becomes stable only after the batch that holds the first mark.
func (s *seen) mark(o mqtt.Origin, t *touched, b *store.Batch) (isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	org := s.originLocked(o.Store, b)
	c := org.chunk(o.Seq/chunkBits, s.maxChunks, o.Store, b)
	if c == nil {
		s.beyond()
		return true
	}
	word, bit := &c.bits[o.Seq%chunkBits/64], uint64(1)<<(o.Seq%64)
	isNew = *word&bit == 0
	*word |= bit
	t.add(o.Store, c)
	return isNew
}

// write puts the chunks of t into b.
func (s *seen) write(t touched, b *store.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, each := range t {
		each.c.put(each.origin, b)
	}
}

// unmark takes back the mark of a message that was refused before anything was written.
func (s *seen) unmark(o mqtt.Origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.findLocked(o); c != nil {
		c.clear(o)
	}
}

func (s *seen) findLocked(o mqtt.Origin) *chunk {
	org := s.origins[o.Store]
	if org == nil {
		return nil
	}
	i, ok := org.find(o.Seq / chunkBits)
	if !ok {
		return nil
	}
	return org.chunks[i]
}

// forget takes marks back whose messages were not kept. b is to be committed at once.
func (s *seen) forget(marks []mqtt.Origin, b *store.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for _, o := range marks {
		if c := s.findLocked(o); c != nil {
			c.clear(o)
			c.put(o.Store, b)
		}
	}
}

// era is the epoch, see there.
func (s *seen) era() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

func (s *seen) originLocked(id uint64, b *store.Batch) *originSeen {
	s.clock++
	o := s.origins[id]
	if o == nil {
		s.evictLocked(b)
		o = new(originSeen)
		s.origins[id] = o
	}
	o.used = s.clock
	return o
}

// evictLocked makes room for one more origin.
func (s *seen) evictLocked(b *store.Batch) {
	if len(s.origins) < s.maxOrigins {
		return
	}
	var id uint64
	first := true
	for each, o := range s.origins {
		if first || o.used < s.origins[id].used {
			id, first = each, false
		}
	}
	b.DeleteRange(store.Seen, seenKey(id, 0), append(seenKey(id, ^uint64(0)), 0))
	delete(s.origins, id)
}

func (o *originSeen) find(number uint64) (int, bool) {
	n := len(o.chunks)
	if n > 0 && o.chunks[n-1].number == number {
		return n - 1, true
	}
	return slices.BinarySearchFunc(o.chunks, number, func(c *chunk, number uint64) int {
		if c.number < number {
			return -1
		}
		return int(min(c.number-number, 1))
	})
}

// chunk finds or makes a chunk; nil when it lies below the window.
func (o *originSeen) chunk(number uint64, maxChunks int, id uint64, b *store.Batch) *chunk {
	i, ok := o.find(number)
	if ok {
		return o.chunks[i]
	}
	if len(o.chunks) >= maxChunks {
		if i == 0 {
			return nil
		}
		b.Delete(store.Seen, seenKey(id, o.chunks[0].number))
		o.chunks = slices.Delete(o.chunks, 0, 1)
		i--
	}
	c := &chunk{number: number}
	o.chunks = slices.Insert(o.chunks, i, c)
	return c
}

func (c *chunk) clear(o mqtt.Origin) { c.bits[o.Seq%chunkBits/64] &^= 1 << (o.Seq % 64) }

func (c *chunk) put(id uint64, b *store.Batch) {
	value := make([]byte, 0, chunkBits/8)
	for _, word := range c.bits {
		value = binary.BigEndian.AppendUint64(value, word)
	}
	b.Put(store.Seen, seenKey(id, c.number), value)
}

func seenKey(id, number uint64) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 17), id)
	return binary.BigEndian.AppendUint64(key, number)
}
