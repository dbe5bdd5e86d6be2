package firmwaresim

import "sort"

// maxSpans bounds one set of sequence numbers. Beyond it the oldest gap is written off: its numbers count as
// seen from then on, and the set tells how many they were.
const maxSpans = 2048

// spans is a set of sequence numbers, kept as ranges without overlap, lowest first. Numbers that come
// in order cost one range however many they are.
type spans struct {
	ranges     []span
	count      uint64
	writtenOff uint64 // numbers inside gaps that were closed at the bound
}

type span struct{ lo, hi uint64 } // both included

// add puts n in; false = it was in already.
func (s *spans) add(n uint64) bool {
	i := sort.Search(len(s.ranges), func(i int) bool { return s.ranges[i].hi+1 >= n })
	switch {
	case i == len(s.ranges) || n+1 < s.ranges[i].lo:
		s.ranges = append(s.ranges, span{})
		copy(s.ranges[i+1:], s.ranges[i:])
		s.ranges[i] = span{n, n}
		s.bound()
	case n >= s.ranges[i].lo && n <= s.ranges[i].hi:
		return false
	case n+1 == s.ranges[i].lo:
		s.ranges[i].lo = n
	default: // n follows range i, and may close the gap to the next
		s.ranges[i].hi = n
		if i+1 < len(s.ranges) && s.ranges[i+1].lo == n+1 {
			s.ranges[i].hi = s.ranges[i+1].hi
			s.ranges = append(s.ranges[:i+1], s.ranges[i+2:]...)
		}
	}
	s.count++
	return true
}

// bound closes the oldest gap when there are too many.
func (s *spans) bound() {
	if len(s.ranges) <= maxSpans {
		return
	}
	s.writtenOff += s.ranges[1].lo - s.ranges[0].hi - 1
	s.ranges[1].lo = s.ranges[0].lo
	s.ranges = append(s.ranges[:0], s.ranges[1:]...)
}

// without counts the numbers that are in s and not in other.
func (s *spans) without(other *spans) (n uint64) {
	j := 0
	for _, r := range s.ranges {
		n += r.hi - r.lo + 1
		for j < len(other.ranges) && other.ranges[j].hi < r.lo {
			j++
		}
		for k := j; k < len(other.ranges) && other.ranges[k].lo <= r.hi; k++ {
			n -= min(r.hi, other.ranges[k].hi) - max(r.lo, other.ranges[k].lo) + 1
		}
	}
	return n
}
