package interest

import (
	"iter"
	"maps"

	"mangrove/bridge/frame"
	"mangrove/mqtt/topic"
)

// Set is a set of filters with their QoS, and its digest. The zero value is empty. Not safe for concurrent use.
type Set struct {
	filters map[string]byte
	digest  frame.Digest
}

// Len is how many filters there are.
func (s *Set) Len() int { return len(s.filters) }

// Digest sums the set up.
func (s *Set) Digest() frame.Digest { return s.digest }

// All visits the filters with their QoS, in any order. The set must not change meanwhile, but for the filter visited.
func (s *Set) All() iter.Seq2[string, byte] { return maps.All(s.filters) }

// QoS is that of a filter; ok is false when it is not in the set.
func (s *Set) QoS(filter string) (qos byte, ok bool) {
	qos, ok = s.filters[filter]
	return qos, ok
}

func (s *Set) has(filter string) bool {
	_, ok := s.filters[filter]
	return ok
}

// Matches tells whether a filter of the set matches a topic name.
func (s *Set) Matches(name string) bool {
	for filter := range s.filters {
		if topic.Match(filter, name) {
			return true
		}
	}
	return false
}

// Put adds or changes a filter. had is its QoS before.
func (s *Set) Put(filter string, qos byte) (had byte, existed bool) {
	if s.filters == nil {
		s.filters = map[string]byte{}
	}
	if had, existed = s.filters[filter]; existed {
		s.digest.Remove(filter, had)
	}
	s.filters[filter] = qos
	s.digest.Add(filter, qos)
	return had, existed
}

// Remove takes a filter out.
func (s *Set) Remove(filter string) (existed bool) {
	had, existed := s.filters[filter]
	if existed {
		s.digest.Remove(filter, had)
		delete(s.filters, filter)
	}
	return existed
}

// Changes is what makes other of s: first what other has more or with another QoS, then what it has no more.
func (s *Set) Changes(other *Set) (changes []frame.Want) {
	for filter, qos := range other.filters {
		if had, ok := s.filters[filter]; !ok || had != qos {
			changes = append(changes, frame.Want{Filter: filter, QoS: qos})
		}
	}
	for filter := range s.filters {
		if _, ok := other.filters[filter]; !ok {
			changes = append(changes, frame.Want{Filter: filter, Gone: true})
		}
	}
	return changes
}
