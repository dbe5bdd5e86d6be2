package seen

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// Filter knows which messages were taken in already, whatever way they came: a set of numbers for
// each origin, exact within a window.
//
//	Seq  ──── chunk number (Seq / 512) ──┬── bit (Seq mod 512)
//	origin → sorted chunks of 64 bytes, the highest maxChunks of them, fewer when room is short (room.go)
//
// A high-water mark would not do: after failover, and over several paths, numbers of one origin come with
// gaps and out of order. The window counts chunks that exist, not numbers: only a part of what an origin
// numbers comes this way, and its numbers jump at each of its restarts. A number below the window is taken
// for new: better a repeat than a loss.
//
// Marks are written with the messages they stand for, and never with others: batches of several frames are under way at
// a time, and one may be refused (full disk) while a later one is kept. So a chunk lies on disk in slots; a frame writes
// a slot that no other frame has under way: what is kept there and its own marks. The chunk is the sum of its slots.
//
//	Mark ─ Write (slot busy) ─┬─ batch stable: slot kept, with the frame's marks
//	                          └─ batch refused: slot as before; Forget takes the marks out of memory
//
// Safe for concurrent use.
type Filter struct {
	maxChunks int    // of one origin
	maxBytes  int    // of all
	lazy      uint64 // an origin is put in front of its list when so many marks came since it was last
	beyond    func() // counts numbers below the window
	evicted   func() // counts chunks that went for want of room

	mu      sync.Mutex
	origins map[uint64]*origin
	lists   lists
	bytes   int    // what is held, see room.go
	marks   uint64 // counts calls of Mark
	epoch   uint64 // see Epoch
}

type origin struct {
	id         uint64
	chunks     []*chunk // by number; never empty between calls
	ended      bool     // a life that is over
	heard      uint64   // Filter.marks when it was put in front of its list
	in         *list
	prev, next *origin // in in
}

type chunk struct {
	number uint64
	bits   chunkSet // marks, kept or under way
	slots  []slot   // as on disk
	gone   bool     // it gave way: no longer to be written
}

type slot struct {
	kept chunkSet
	busy bool // a frame's batch that writes it is under way
}

type chunkSet [chunkBits / 64]uint64

func (s *chunkSet) has(seq uint64) bool { return s[seq%chunkBits/64]&(1<<(seq%64)) != 0 }
func (s *chunkSet) set(seq uint64)      { s[seq%chunkBits/64] |= 1 << (seq % 64) }
func (s *chunkSet) clear(seq uint64)    { s[seq%chunkBits/64] &^= 1 << (seq % 64) }

func (s *chunkSet) add(other *chunkSet) {
	for i := range s {
		s[i] |= other[i]
	}
}

const (
	chunkBits  = 512
	mergeSlots = 4    // above it the slots of a chunk become one when none is busy
	minChunks  = 2048 // of an origin: twice the default window of a link, should each message have a chunk to itself
)

// Config of a Filter.
type Config struct {
	Window   int    // messages that a neighbour may send before they are acknowledged: an origin's window is at least twice as large
	MaxBytes int    // of memory that marks may take; as many on disk, about
	Beyond   func() // counts numbers below an origin's window; called with the Filter's lock held
	Evicted  func() // counts chunks of 512 numbers that gave way to others; called with the Filter's lock held
}

// New makes an empty filter.
func New(cfg Config) *Filter {
	return &Filter{
		maxChunks: max(minChunks, 2*cfg.Window), maxBytes: cfg.MaxBytes, beyond: cfg.Beyond, evicted: cfg.Evicted,
		lazy: 1024, origins: map[uint64]*origin{},
	}
}

// Load reads what is on disk. Called once, before anything else.
func (s *Filter) Load(st *store.Store) error {
	var bad error
	err := st.Scan(batch.Seen, nil, nil, func(k, v []byte) bool {
		if len(k) != 18 || len(v) != chunkBits/8 {
			bad = fmt.Errorf("seen record %x: got %d bytes under a key of %d, want %d under 18", k, len(v), len(k), chunkBits/8)
			return false
		}
		s.loadSlot(binary.BigEndian.Uint64(k), binary.BigEndian.Uint64(k[8:]), int(binary.BigEndian.Uint16(k[16:])), v)
		return true
	})
	if err == nil {
		err = bad
	}
	if err != nil {
		return fmt.Errorf("load seen messages: %w", err)
	}
	b := new(batch.Batch)
	s.mu.Lock()
	s.makeRoomLocked(nil, b) // the bound may be a smaller one than it was
	s.mu.Unlock()
	if !b.Empty() {
		st.Commit(b)
	}
	return nil
}

func (s *Filter) loadSlot(id, number uint64, at int, v []byte) {
	o := s.originLocked(id)
	i, ok := o.find(number)
	if !ok {
		o.chunks = slices.Insert(o.chunks, i, &chunk{number: number})
		s.bytes += chunkBytes
		s.hearLocked(o)
	}
	c := o.chunks[i]
	for len(c.slots) <= at {
		c.slots = append(c.slots, slot{})
		s.bytes += slotBytes
	}
	for w := range c.slots[at].kept {
		c.slots[at].kept[w] = binary.BigEndian.Uint64(v[8*w:])
	}
	c.bits.add(&c.slots[at].kept)
}

// Touched collects the chunks that a frame's marks lie in, to write each once. The zero value is empty. It belongs to
// one frame, from its first Mark to Settle; one goroutine at a time uses it.
type Touched []touchedChunk

type touchedChunk struct {
	origin  uint64
	c       *chunk
	own     chunkSet // the frame's marks
	value   chunkSet // what is written
	written bool     // it was there when the frame was written
	slot    int
	merged  int // slot takes the place of the first so many; 0 = only of itself
}

func (t *Touched) at(origin uint64, c *chunk) *touchedChunk {
	for i := len(*t) - 1; i >= 0; i-- {
		if (*t)[i].c == c {
			return &(*t)[i]
		}
	}
	*t = append(*t, touchedChunk{origin: origin, c: c})
	return &(*t)[len(*t)-1]
}

// Mark notes o and reports whether it is new. The caller writes t into b afterwards (Write); Mark itself writes into b
// what it had to forget for want of room. A repeat's chunk is written too, so that b becomes stable only after the batch
// that holds the first mark.
func (s *Filter) Mark(o mqtt.Origin, t *Touched, b *batch.Batch) (isNew bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.chunkLocked(s.originLocked(o.Life), o.Seq/chunkBits, b)
	if c == nil {
		s.beyond()
		return true
	}
	each := t.at(o.Life, c)
	if isNew = !c.bits.has(o.Seq); isNew {
		c.bits.set(o.Seq)
		each.own.set(o.Seq)
	}
	return isNew
}

// Unmark takes back the mark of a message that was refused before t was written.
func (s *Filter) Unmark(o mqtt.Origin, t *Touched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.findLocked(o); c != nil {
		c.bits.clear(o.Seq)
		t.at(o.Life, c).own.clear(o.Seq)
	}
}

// Write puts t into b. b must be committed, and Settle called with its outcome: until then the slots are busy.
func (s *Filter) Write(t Touched, b *batch.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t {
		if had := len(t[i].c.slots); !t[i].c.gone {
			t[i].write(b)
			s.bytes += slotBytes * (len(t[i].c.slots) - had)
		}
	}
}

func (t *touchedChunk) write(b *batch.Batch) {
	c := t.c
	t.written = true
	t.slot = slices.IndexFunc(c.slots, func(s slot) bool { return !s.busy })
	if t.slot < 0 {
		t.slot = len(c.slots)
		c.slots = append(c.slots, slot{})
	}
	t.value = t.own
	t.value.add(&c.slots[t.slot].kept)
	if len(c.slots) > mergeSlots && !slices.ContainsFunc(c.slots, func(s slot) bool { return s.busy }) {
		t.merged = len(c.slots)
		for i := range c.slots {
			t.value.add(&c.slots[i].kept)
			c.slots[i].busy = true
		}
		b.DeleteRange(batch.Seen, slotKey(t.origin, c.number, 0), seenEnd(t.origin, c.number))
	}
	c.slots[t.slot].busy = true
	putSlot(b, t.origin, c.number, t.slot, &t.value)
}

// Settle tells whether the batch that t was written into was kept; nil = it was.
func (s *Filter) Settle(t Touched, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t {
		if t[i].written {
			t[i].settle(err == nil)
		}
	}
}

func (t *touchedChunk) settle(kept bool) {
	slots := t.c.slots
	mine := &slots[t.slot]
	if mine.busy = false; kept {
		mine.kept.add(&t.own)
	}
	for i := range slots[:t.merged] {
		slots[i].busy = false
		if kept && i != t.slot {
			mine.kept.add(&slots[i].kept)
			slots[i].kept = chunkSet{}
		}
	}
}

// Forget takes marks back whose messages were not kept: out of memory, and out of slots that hold them although their
// batch is stable (a taker outside the store failed). What that changes on disk goes into b, which the caller commits. A
// frame that has such a slot under way loses its marks on disk thereby: better a repeat than a loss.
func (s *Filter) Forget(marks []mqtt.Origin, b *batch.Batch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	for _, o := range marks {
		c := s.findLocked(o)
		if c == nil {
			continue
		}
		c.bits.clear(o.Seq)
		for i := range c.slots {
			if each := &c.slots[i]; each.kept.has(o.Seq) {
				each.kept.clear(o.Seq)
				putSlot(b, o.Life, c.number, i, &each.kept)
			}
		}
	}
}

func (s *Filter) findLocked(o mqtt.Origin) *chunk {
	org := s.origins[o.Life]
	if org == nil {
		return nil
	}
	i, ok := org.find(o.Seq / chunkBits)
	if !ok {
		return nil
	}
	return org.chunks[i]
}

// Epoch counts the calls of Forget. Whoever saw a repeat in an earlier epoch cannot rely on it: the first copy may be
// one that was not kept.
func (s *Filter) Epoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

func (s *Filter) originLocked(id uint64) *origin {
	o := s.origins[id]
	if o == nil {
		o = &origin{id: id}
		s.origins[id] = o
		s.bytes += originBytes
	}
	return o
}

func (o *origin) find(number uint64) (int, bool) {
	n := len(o.chunks)
	if n > 0 && o.chunks[n-1].number == number {
		return n - 1, true
	}
	return slices.BinarySearchFunc(o.chunks, number, func(c *chunk, number uint64) int {
		return cmp.Compare(c.number, number)
	})
}

// chunkLocked finds or makes a chunk; nil when it lies below the window.
func (s *Filter) chunkLocked(o *origin, number uint64, b *batch.Batch) *chunk {
	i, ok := o.find(number)
	s.marks++
	if ok {
		if s.marks-o.heard > s.lazy {
			s.hearLocked(o)
		}
		return o.chunks[i]
	}
	if len(o.chunks) >= s.maxChunks {
		if i == 0 {
			return nil
		}
		s.dropLocked(o, 0, b)
		i--
	}
	c := &chunk{number: number}
	o.chunks = slices.Insert(o.chunks, i, c)
	s.bytes += chunkBytes
	s.hearLocked(o)
	s.makeRoomLocked(c, b)
	return c
}

func putSlot(b *batch.Batch, origin, number uint64, at int, set *chunkSet) {
	value := make([]byte, 0, chunkBits/8)
	for _, word := range set {
		value = binary.BigEndian.AppendUint64(value, word)
	}
	b.Put(batch.Seen, slotKey(origin, number, at), value)
}

func slotKey(origin, number uint64, at int) []byte {
	key := binary.BigEndian.AppendUint64(make([]byte, 0, 19), origin)
	key = binary.BigEndian.AppendUint64(key, number)
	return binary.BigEndian.AppendUint16(key, uint16(at))
}

// seenEnd is behind the last slot of a chunk.
func seenEnd(origin, number uint64) []byte { return append(slotKey(origin, number, 1<<16-1), 0) }
