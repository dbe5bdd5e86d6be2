package interest

import "strings"

// Cover reduces filters to those that no other one contains, each with the highest QoS of what it stands for: a
// broker may send a message once for each subscription that matches.
func Cover(filters map[string]byte) map[string]byte {
	var root coverNode
	for f := range filters {
		root.add(f)
	}
	kept := make(map[string]byte, len(filters))
	for f, qos := range filters {
		by := root.widest(strings.Split(f, "/"), nil)
		if had, ok := kept[by]; !ok || had < qos {
			kept[by] = qos
		}
	}
	return kept
}

// coverNode is one level of a tree of filters.
type coverNode struct {
	kids map[string]*coverNode
	ends bool // a filter ends here
}

func (n *coverNode) add(filter string) {
	for level := range strings.SplitSeq(filter, "/") {
		kid := n.kids[level]
		if kid == nil {
			if n.kids == nil {
				n.kids = map[string]*coverNode{}
			}
			kid = new(coverNode)
			n.kids[level] = kid
		}
		n = kid
	}
	n.ends = true
}

// widest finds the filter below n that contains rest and that no other one contains; path is what leads to n. Of two
// such the one with the earlier wildcard is taken; "" = none.
func (n *coverNode) widest(rest, path []string) string {
	if n.kids["#"] != nil {
		return strings.Join(append(path[:len(path):len(path)], "#"), "/")
	}
	if len(rest) == 0 {
		if n.ends {
			return strings.Join(path, "/")
		}
		return ""
	}
	level := rest[0]
	if level == "#" {
		return "" // only "#" contains it
	}
	for _, take := range []string{"+", level} {
		if kid := n.kids[take]; kid != nil {
			if found := kid.widest(rest[1:], append(path[:len(path):len(path)], take)); found != "" {
				return found
			}
		}
	}
	return ""
}

// Contains tells whether one of the filters contains f.
func Contains[V any](filters map[string]V, f string) bool {
	var root coverNode
	for each := range filters {
		root.add(each)
	}
	return root.widest(strings.Split(f, "/"), nil) != ""
}
