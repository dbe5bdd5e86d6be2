package bench

import (
	"slices"
	"sort"
)

// arrival is what a message's number says about it.
type arrival byte

const (
	inOrder    arrival = iota
	reordered          // missing until now: a later one of its stream came before it
	duplicated         // had already
)

// span is the numbers from..to-1.
type span struct{ from, to uint64 }

// track is what one subscriber has had of one stream that it should get whole. Numbers begin at 0.
// Its memory grows with the gaps, not with what is missing in them.
type track struct {
	next uint64 // all below are had, but for gaps
	gaps []span // ascending
}

// got notes number seq. gap is what is missing since now, empty when nothing is.
func (t *track) got(seq uint64) (a arrival, gap span) {
	if seq >= t.next {
		gap = span{t.next, seq}
		if gap.from < gap.to {
			t.gaps = append(t.gaps, gap)
		}
		t.next = seq + 1
		return inOrder, gap
	}
	i := sort.Search(len(t.gaps), func(i int) bool { return t.gaps[i].to > seq })
	if i == len(t.gaps) || seq < t.gaps[i].from {
		return duplicated, span{}
	}
	t.fill(i, seq)
	return reordered, span{}
}

// fill takes seq out of gap i.
func (t *track) fill(i int, seq uint64) {
	g := &t.gaps[i]
	switch {
	case g.to-g.from == 1:
		t.gaps = slices.Delete(t.gaps, i, i+1)
	case seq == g.from:
		g.from++
	case seq == g.to-1:
		g.to--
	default:
		after := span{seq + 1, g.to}
		g.to = seq
		t.gaps = slices.Insert(t.gaps, i+1, after)
	}
}

// lost is how many of the first published numbers are missing.
func (t *track) lost(published uint64) uint64 {
	n := published - min(t.next, published)
	for _, g := range t.gaps {
		n += g.to - g.from
	}
	return n
}

// sparse is what one subscriber has had of one stream of which it should get some messages only: those
// that were expected, in that order.
type sparse struct {
	queue []uint64 // expected and not had; from head on
	head  int
	had   track // by place in the queue since the beginning
	first uint64
	gone  map[uint64]uint64 // missing number → its place; only while something is missing
}

// expect notes that seq was published and matches.
func (s *sparse) expect(seq uint64) {
	if s.head > 1024 && s.head*2 > len(s.queue) {
		s.queue = append(s.queue[:0], s.queue[s.head:]...)
		s.first += uint64(s.head)
		s.head = 0
	}
	s.queue = append(s.queue, seq)
}

// got is track's. gone tells the numbers that are missing since now.
func (s *sparse) got(seq uint64, gone func(seq uint64)) arrival {
	at := s.head
	for at < len(s.queue) && s.queue[at] < seq {
		at++
	}
	if at < len(s.queue) && s.queue[at] == seq {
		s.skip(at, gone)
		a, _ := s.had.got(s.first + uint64(at))
		s.head = at + 1
		return a
	}
	place, missing := s.gone[seq]
	if !missing {
		return duplicated // or never expected here, which is as wrong
	}
	delete(s.gone, seq)
	a, _ := s.had.got(place)
	return a
}

// skip notes that what is before place at is missing.
func (s *sparse) skip(at int, gone func(seq uint64)) {
	for ; s.head < at; s.head++ {
		if s.gone == nil {
			s.gone = make(map[uint64]uint64)
		}
		s.gone[s.queue[s.head]] = s.first + uint64(s.head)
		gone(s.queue[s.head])
	}
}

func (s *sparse) lost() uint64 { return s.had.lost(s.first + uint64(len(s.queue))) }
