package broker

import (
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// maxCached bounds the topics whose subscribers one publisher's connection remembers. When one
// more comes, all are forgotten.
const maxCached = 256

// matchCache remembers the subscribers of the topics one client publishes to, and the topics'
// strings, so that publishing there again allocates neither. Reader only.
type matchCache struct{ topics map[string]*cached }

// cached is what is known of one topic.
type cached struct {
	topic      string // checked
	generation uint64 // of the tree when targets was found
	targets    []target
}

// get returns the entry of a topic, up to date. name is copied when it must be kept.
func (c *matchCache) get(r *Router, publisher string, name []byte) (*cached, error) {
	generation := r.tree.Generation() // before the match: a change meanwhile makes the entry old at once
	if e := c.topics[string(name)]; e != nil {
		if e.generation != generation {
			e.targets, e.generation = r.match(e.topic, publisher), generation
		}
		return e, nil
	}
	e := &cached{topic: string(name), generation: generation}
	if err := topic.CheckName(e.topic, topic.MaxLevels); err != nil {
		return nil, &packet.Error{Reason: packet.TopicNameInvalid, Rule: "MQTT-4.7.3-1", Detail: err.Error()}
	}
	e.targets = r.match(e.topic, publisher)
	if c.topics == nil || len(c.topics) == maxCached {
		c.topics = make(map[string]*cached)
	}
	c.topics[e.topic] = e
	return e, nil
}
