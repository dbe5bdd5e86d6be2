package topic

import "strings"

// Space is one row of the table of topics that begin with "$" (spaces.go): the names and filters that begin with
// Prefix, and what is theirs. The zero value of each column is the strict one.
type Space struct {
	Prefix    string // "$word/", or more levels; without its last slash it belongs to the row too, if it has no other
	Publish   Party  // who may publish there
	Subscribe Party  // who may subscribe there
	Crosses   bool   // messages and interest leave over links; for them to come in, see Link
	Owned     string // clients publish only to their own name there: Prefix, their client id, and this; "" = to all
	Retained  bool   // what is published there with RETAIN is kept as the topic's retained message

	NameCounts   Part // what of a name counts for permission to publish and for durability
	FilterCounts Part // what of a filter counts for permission to subscribe
}

// Party is who publishes or subscribes. Values are bits, so that sets of parties can be written as a | b.
type Party byte

const (
	Client Party = 1 << iota // a client of this node
	Link                     // another node, over a link: may bring messages of such a name, or interest in such a filter
	Node                     // this node itself; nobody asks before the Router does what the node wants
)

// Part is how much of a name or a filter counts.
type Part byte

const (
	Whole       Part = iota // all of it
	AfterPrefix             // "$word/a/b" counts as "a/b"
	AfterLevel              // "$word/level/a/b" counts as "a/b"
)

// of returns the part of s, which lies in the space of prefix. ok is false when all of s counts: the row says so, or
// s is too short to have another part.
func (p Part) of(s, prefix string) (part string, ok bool) {
	switch p {
	case AfterPrefix:
		part, ok = strings.CutPrefix(s, prefix)
	case AfterLevel:
		_, part, ok = cutLevel(s, prefix)
	}
	return part, ok && part != ""
}

// cutLevel takes "prefix level/rest" apart; ok is false when s is not of this form, or the level is empty.
func cutLevel(s, prefix string) (level, rest string, ok bool) {
	behind, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return "", "", false
	}
	level, rest, ok = strings.Cut(behind, "/")
	return level, rest, ok && level != ""
}

// table is a list of spaces. The last has the prefix "$" and holds what is in no other.
type table []Space

// of returns the row of s, which begins with "$": the first one that fits. It compares whole first levels, so that most rows
// differ by length; a row with a longer prefix stands before that of its first level.
func (t table) of(s string) *Space {
	word := s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		word = s[:i]
	}
	last := len(t) - 1
	for i := range t[:last] {
		if prefix := t[i].Prefix; prefix[:len(prefix)-1] == word || len(s) > len(prefix) && s[:len(prefix)] == prefix {
			return &t[i]
		}
	}
	return &t[last]
}

// mayPublish asks each space on the way to the part that counts: "$delayed/5/$SYS/x" ends in "$SYS/". clientID is that of a
// Client; "" = any.
func (t table) mayPublish(name string, by Party, clientID string) bool {
	for Special(name) {
		s := t.of(name)
		if s.Publish&by == 0 || s.Owned != "" && by == Client && !s.owns(name, clientID) {
			return false
		}
		part, ok := s.NameCounts.of(name, s.Prefix)
		if !ok {
			break
		}
		name = part
	}
	return true
}

// owns reports whether name is the one that belongs to a client in a space that is Owned.
func (s *Space) owns(name, clientID string) bool {
	id, ok := strings.CutSuffix(name[min(len(s.Prefix), len(name)):], s.Owned)
	return ok && id != "" && (clientID == "" || id == clientID)
}

// counted is the part of name that counts in the end.
func (t table) counted(name string) string {
	for Special(name) {
		s := t.of(name)
		part, ok := s.NameCounts.of(name, s.Prefix)
		if !ok {
			break
		}
		name = part
	}
	return name
}

// maySubscribe is mayPublish for a filter.
func (t table) maySubscribe(filter string, by Party) bool {
	for last := (*Space)(nil); Special(filter); {
		s := t.of(filter)
		if s.Subscribe&by == 0 {
			return false
		}
		part, ok := s.next(filter, last)
		if !ok {
			break
		}
		filter, last = part, s
	}
	return true
}

// countedFilter is the part of filter that counts in the end.
func (t table) countedFilter(filter string) string {
	for last := (*Space)(nil); Special(filter); {
		s := t.of(filter)
		part, ok := s.next(filter, last)
		if !ok {
			break
		}
		filter, last = part, s
	}
	return filter
}

// next returns the part of filter that counts, which follows the space last. A prefix behind itself is no syntax: in
// "$share/g/$share/h/x" the filter is "$share/h/x", which matches the topic of that name.
func (s *Space) next(filter string, last *Space) (part string, ok bool) {
	if s == last {
		return "", false
	}
	return s.FilterCounts.of(filter, s.Prefix)
}
