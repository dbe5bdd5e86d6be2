package interest

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
)

// Shorten makes of filters a list of at most most that covers them all: of the topics that have too many below them a prefix, as
// "a/b/#", in place of the filters below it; "#" in place of all when nothing else will do. It begins with "#" and takes prefixes apart,
// level by level, of one level those with the fewest parts first, as long as there is room: no prefix of the result could be taken apart without
// going above most. filters is changed in place. The order of the result has no meaning.
func Shorten(filters []string, most int) (exact, prefixes []string) {
	if len(filters) <= most {
		return filters, nil
	}
	for i, f := range filters {
		filters[i] = strings.ReplaceAll(f, "/", ends)
	}
	slices.Sort(filters)
	s := shortening{filters: filters}
	s.push(group{from: 0, to: len(filters), prefix: -1})
	for total := 1; s.Len() > 0; {
		g := heap.Pop(&s).(group)
		if total-1+g.parts > most {
			prefixes = append(prefixes, s.name(g))
			continue
		}
		total += g.parts - 1
		s.each(g, func(part group) {
			if part.to-part.from == 1 {
				exact = append(exact, strings.ReplaceAll(filters[part.from], ends, "/"))
			} else {
				s.push(part)
			}
		})
	}
	return exact, prefixes
}

// ends stands for "/" while filters are sorted: it comes before all characters, and no filter has it [MQTT-4.7.3-2]. So what is below a
// topic comes right behind it.
const ends = "\x00"

// group is the filters from <= i < to, two or more unless it is a part of another: all that begin with the same levels.
type group struct {
	from, to int
	prefix   int // bytes of these levels; -1 = none: all filters
	depth    int // how many levels
	parts    int // how many filters or groups it falls into
}

// shortening is a heap of groups that may be taken apart.
type shortening struct {
	filters []string
	groups  []group
}

func (s *shortening) push(g group) {
	s.each(g, func(group) { g.parts++ })
	heap.Push(s, g)
}

// each visits the parts of g: a filter that is the prefix itself, and what has the same next level.
func (s *shortening) each(g group, visit func(group)) {
	for i := g.from; i < g.to; {
		end := s.nextLevel(i, g.prefix)
		j := i + 1
		for j < g.to && s.nextLevel(j, g.prefix) == end && s.filters[j][:end] == s.filters[i][:end] {
			j++
		}
		visit(group{from: i, to: j, prefix: end, depth: g.depth + 1})
		i = j
	}
}

// nextLevel is where the level behind prefix ends in filter i.
func (s *shortening) nextLevel(i, prefix int) int {
	f := s.filters[i]
	if prefix+1 > len(f) {
		return len(f) // it is the prefix itself
	}
	if n := strings.Index(f[prefix+1:], ends); n >= 0 {
		return prefix + 1 + n
	}
	return len(f)
}

// name is the filter that covers a group.
func (s *shortening) name(g group) string {
	if g.prefix < 0 {
		return "#"
	}
	return strings.ReplaceAll(s.filters[g.from][:g.prefix], ends, "/") + "/#"
}

// Len implements heap.Interface.
func (s *shortening) Len() int { return len(s.groups) }

// Less implements heap.Interface.
func (s *shortening) Less(i, j int) bool {
	a, b := &s.groups[i], &s.groups[j]
	return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.parts, b.parts), cmp.Compare(a.from, b.from)) < 0
}

// Swap implements heap.Interface.
func (s *shortening) Swap(i, j int) { s.groups[i], s.groups[j] = s.groups[j], s.groups[i] }

// Push implements heap.Interface.
func (s *shortening) Push(g any) { s.groups = append(s.groups, g.(group)) }

// Pop implements heap.Interface.
func (s *shortening) Pop() any {
	g := s.groups[len(s.groups)-1]
	s.groups = s.groups[:len(s.groups)-1]
	return g
}
