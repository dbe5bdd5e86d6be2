package seen

import (
	"math/bits"
	"slices"

	"mangrove/internal/batch"
)

// What the filter holds is bounded in bytes, for all origins together. When a chunk more does not fit, an origin gives up its
// lowest chunk, which is the oldest of what it may still send again; one that has none left is forgotten. Who gives, in this order:
//
//	ended lives         the one not heard of for longest
//	the other origins   of those with most chunks (within a factor of two) the one not heard of for longest
//
// So an origin that fills its window does not push out a hundred quiet ones, and each restart of a node costs room only
// until that is wanted. Finding the one takes no longer with more origins.

// What things take of memory, in bytes, with what Go adds: TestMemory holds these against the heap.
const (
	originBytes = 160
	chunkBytes  = 128
	slotBytes   = 80
)

// lists are the origins in the order of giving up chunks: ended lives, then by the bit length of their number of chunks, the
// largest first.
type lists struct {
	ended   list
	running [bits.UintSize + 1]list
}

// list holds origins, the one heard of last in front.
type list struct{ front, back *origin }

func (l *list) remove(o *origin) {
	if o.prev != nil {
		o.prev.next = o.next
	} else {
		l.front = o.next
	}
	if o.next != nil {
		o.next.prev = o.prev
	} else {
		l.back = o.prev
	}
	o.prev, o.next, o.in = nil, nil, nil
}

func (l *list) push(o *origin) {
	o.next, o.in = l.front, l
	if l.front != nil {
		l.front.prev = o
	} else {
		l.back = o
	}
	l.front = o
}

// of is the list that o belongs to.
func (l *lists) of(o *origin) *list {
	if o.ended {
		return &l.ended
	}
	return &l.running[bits.Len(uint(len(o.chunks)))]
}

// hearLocked puts o in front of its list.
func (s *Filter) hearLocked(o *origin) {
	o.heard = s.marks
	to := s.lists.of(o)
	if to.front == o {
		return
	}
	if o.in != nil {
		o.in.remove(o)
	}
	to.push(o)
}

// giver is whose lowest chunk that is not kept goes next; nil when there is none.
func (l *lists) giver(kept *chunk) *origin {
	if o := l.ended.last(kept); o != nil {
		return o
	}
	for i := len(l.running) - 1; i > 0; i-- {
		if o := l.running[i].last(kept); o != nil {
			return o
		}
	}
	return nil
}

func (l *list) last(kept *chunk) *origin {
	o := l.back
	if o != nil && len(o.chunks) == 1 && o.chunks[0] == kept {
		return o.prev
	}
	return o
}

// makeRoomLocked has origins give up chunks until the bound is kept; kept stays. What goes from the disk is written into b.
func (s *Filter) makeRoomLocked(kept *chunk, b *batch.Batch) {
	for s.bytes > s.maxBytes {
		o := s.lists.giver(kept)
		if o == nil {
			return
		}
		at := 0
		if o.chunks[0] == kept {
			at = 1
		}
		s.dropLocked(o, at, b)
		if s.evicted(); len(o.chunks) == 0 {
			o.in.remove(o)
			delete(s.origins, o.id)
			s.bytes -= originBytes
			continue
		}
		if o.in != s.lists.of(o) {
			s.hearLocked(o)
		}
	}
}

// dropLocked forgets the chunk at an index of o.
func (s *Filter) dropLocked(o *origin, at int, b *batch.Batch) {
	c := o.chunks[at]
	c.gone = true
	b.DeleteRange(batch.Seen, slotKey(o.id, c.number, 0), seenEnd(o.id, c.number))
	o.chunks = slices.Delete(o.chunks, at, at+1)
	s.bytes -= chunkBytes + slotBytes*len(c.slots)
}

// End tells that lives are over: nothing is numbered in them any more, so their chunks are the first to go.
func (s *Filter) End(lives []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, life := range lives {
		if o := s.origins[life]; o != nil && !o.ended {
			o.ended = true
			s.hearLocked(o)
		}
	}
}

// Size is how many origins the filter knows, and what it holds in memory, in bytes.
func (s *Filter) Size() (origins, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.origins), s.bytes
}
