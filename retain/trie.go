package retain

import (
	"iter"
	"strings"

	"mangrove/mqtt/topic"
)

// node is one level of the topics that are retained, or about to be.
type node struct {
	level    string
	parent   *node
	children children
	visible  *entry   // what Match finds; nil = nothing
	cleared  *entry   // that nothing is there since when; nil when visible is not, or nothing is known
	open     *changes // changes that are not stable yet; nil = none
}

// children holds few nodes in a slice, since most levels have few, and more in a map.
type children struct {
	few  []*node
	many map[string]*node
}

// fewChildren is where a map becomes faster than looking along a slice.
const fewChildren = 8

func (c *children) get(level string) *node {
	if c.many != nil {
		return c.many[level]
	}
	for _, n := range c.few {
		if n.level == level {
			return n
		}
	}
	return nil
}

func (c *children) add(n *node) {
	if c.many == nil && len(c.few) < fewChildren {
		c.few = append(c.few, n)
		return
	}
	if c.many == nil {
		c.many = make(map[string]*node, 2*fewChildren)
		for _, f := range c.few {
			c.many[f.level] = f
		}
		c.few = nil
	}
	c.many[n.level] = n
}

func (c *children) remove(n *node) {
	if c.many != nil {
		if delete(c.many, n.level); len(c.many) == 0 {
			c.many = nil
		}
		return
	}
	for i, f := range c.few {
		if f == n {
			last := len(c.few) - 1
			c.few[i], c.few[last] = c.few[last], nil
			c.few = c.few[:last]
			return
		}
	}
}

func (c *children) empty() bool { return len(c.few) == 0 && len(c.many) == 0 }

func (c *children) all() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, n := range c.few {
			if !yield(n) {
				return
			}
		}
		for _, n := range c.many {
			if !yield(n) {
				return
			}
		}
	}
}

// find returns the node of a topic, nil when there is none.
func (n *node) find(topic string) *node {
	for level := range strings.SplitSeq(topic, "/") {
		if n = n.children.get(level); n == nil {
			return nil
		}
	}
	return n
}

// grow returns the node of a topic, made with those above it when missing. Levels share topic's memory.
func (n *node) grow(topic string) *node {
	for level := range strings.SplitSeq(topic, "/") {
		next := n.children.get(level)
		if next == nil {
			next = &node{level: level, parent: n}
			n.children.add(next)
		}
		n = next
	}
	return n
}

// prune takes out n and those above it that hold nothing.
func (n *node) prune() {
	for n.parent != nil && n.latest() == nil && n.open == nil && n.children.empty() {
		n.parent.children.remove(n)
		n = n.parent
	}
}

// latest is what is known of the topic: its message, its clearing, or nil.
func (n *node) latest() *entry {
	if n.visible != nil {
		return n.visible
	}
	return n.cleared
}

// match appends the entries whose topic matches the filter, of which rest has not been looked at; with cleared those of clearings
// too. "#" and "+" at the start do not match topics that start with "$" [MQTT-4.7.2-1].
func (n *node) match(rest string, cleared bool, found []*entry) []*entry {
	level, rest, more := strings.Cut(rest, "/")
	switch level {
	case "#": // the parent level too
		return n.all(cleared, found)
	case "+":
		for c := range n.children.all() {
			if !n.hides(c) {
				found = c.matchBelow(rest, more, cleared, found)
			}
		}
		return found
	}
	if c := n.children.get(level); c != nil {
		found = c.matchBelow(rest, more, cleared, found)
	}
	return found
}

// matchBelow goes on at n, which matched the last level.
func (n *node) matchBelow(rest string, more, cleared bool, found []*entry) []*entry {
	if more {
		return n.match(rest, cleared, found)
	}
	return n.add(cleared, found)
}

// all appends n's entry and all below it.
func (n *node) all(cleared bool, found []*entry) []*entry {
	found = n.add(cleared, found)
	for c := range n.children.all() {
		if !n.hides(c) {
			found = c.all(cleared, found)
		}
	}
	return found
}

func (n *node) add(cleared bool, found []*entry) []*entry {
	switch {
	case n.visible != nil:
		found = append(found, n.visible)
	case cleared && n.cleared != nil:
		found = append(found, n.cleared)
	}
	return found
}

// hides reports whether wildcards do not see the child c.
func (n *node) hides(c *node) bool { return n.parent == nil && topic.Special(c.level) }
