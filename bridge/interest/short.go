package interest

import "strings"

// short is what is announced in place of more filters than may be: filters, and prefixes that stand for several.
//
//	≤ max filters ─ one more → Shorten to 7/8 of max ─┬ a new filter below a prefix: counted ──────────────────────────┐
//	                                                 ├ any other: announced ─ more than max → Shorten again          │
//	                                                 └ an eighth fewer filters than at most → Shorten again, or none is ┘
//
// Between two turns of mind lie at least max/8 filters that came or went, so that what goes up and down at the bound does not make the whole
// fleet change its mind. The Announcer's mu guards it.
type short struct {
	set   Set            // what is announced
	below map[string]int // by prefix: how many filters it stands for
	from  int            // how many filters there were at most
}

// prefixQoS is what a prefix is announced with.
const prefixQoS = 2

// newShort shortens all; nil = there is no need to.
func newShort(all *Set, most int) *short {
	room := most - most/8
	if all.Len() <= room {
		return nil
	}
	filters := make([]string, 0, all.Len())
	for f := range all.All() {
		filters = append(filters, f)
	}
	exact, prefixes := Shorten(filters, room)
	s := &short{below: make(map[string]int, len(prefixes)), from: all.Len()}
	for _, f := range exact {
		qos, _ := all.QoS(f)
		s.set.Put(f, qos)
	}
	for _, p := range prefixes {
		s.set.Put(p, prefixQoS)
		s.below[p] = 0
	}
	for f := range all.All() {
		if p := s.prefixOf(f); p != "" {
			s.below[p]++
		}
	}
	return s
}

// prefixOf is the prefix that stands for a filter; "" = none does.
func (s *short) prefixOf(filter string) string {
	if _, all := s.below["#"]; all {
		return "#"
	}
	for i := 0; i <= len(filter); i++ {
		if i == len(filter) || filter[i] == '/' {
			if _, ok := s.below[filter[:i]+"/#"]; ok {
				return filter[:i] + "/#"
			}
		}
	}
	return ""
}

// add takes a filter in that is new, or has another QoS; told says that it is announced. all is how many filters there are with it.
func (s *short) add(filter string, qos byte, isNew bool, all int) (told bool) {
	s.from = max(s.from, all)
	p := s.prefixOf(filter)
	switch {
	case p == "":
		s.set.Put(filter, qos)
	case isNew:
		s.below[p]++
	}
	return p == ""
}

// remove takes a filter out, and returns what is no longer announced; "" = nothing.
func (s *short) remove(filter string) (gone string) {
	p := s.prefixOf(filter)
	if p == "" {
		s.set.Remove(filter)
		return filter
	}
	if s.below[p]--; s.below[p] > 0 {
		return ""
	}
	delete(s.below, p)
	s.set.Remove(p)
	return p
}

// shrunk tells whether so many fewer filters are wanted that it is worth while to shorten anew.
func (s *short) shrunk(filters, most int) bool {
	return filters <= most-most/8 || filters <= s.from-max(most/8, s.from/8, 1)
}

// size is the number of prefixes, and the widest.
func (s *short) size() (prefixes int, widest string) {
	most := -1
	for p, n := range s.below {
		if n > most || n == most && strings.Compare(p, widest) < 0 {
			widest, most = p, n
		}
	}
	return len(s.below), widest
}
