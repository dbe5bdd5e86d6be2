package broker

import (
	"errors"
	"sync"

	"mangrove/internal/store"
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
	topic      string      // checked
	slack      store.Slack // how stable its publishes are to be
	generation uint64      // of the tree when targets was found, plus 1; 0 = not yet
	targets    []target
}

// get returns the entry of a topic of at most so many levels, up to date. name is copied when it must be kept.
func (c *matchCache) get(r *Router, publisher string, name []byte, levels int) (*cached, error) {
	e := c.topics[string(name)]
	if e == nil {
		checked := string(name)
		if err := topic.CheckName(checked, levels); err != nil {
			return nil, invalidName(err)
		}
		e = c.add(r, checked)
	}
	e.refresh(r, publisher)
	return e, nil
}

func (c *matchCache) add(r *Router, topicName string) *cached {
	switch {
	case c.topics == nil:
		c.topics = make(map[string]*cached)
	case len(c.topics) == maxCached:
		clear(c.topics) // its room stays
	}
	e := &cached{topic: topicName, slack: r.cfg.Durability.of(topicName)}
	c.topics[topicName] = e
	return e
}

// refresh matches again when subscriptions have changed.
func (e *cached) refresh(r *Router, publisher string) {
	generation := r.tree.Generation() + 1 // before the match: a change meanwhile makes the entry old at once
	if e.generation != generation {
		e.targets, e.generation = r.match(e.topic, publisher), generation
	}
}

// sharedCache is a matchCache for everybody who publishes under no client id: links, most of all.
type sharedCache struct {
	mu    sync.Mutex
	cache matchCache
}

// get returns a copy of the entry of a topic; its slice of subscribers is not changed any more.
func (s *sharedCache) get(r *Router, topicName string) cached {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.cache.topics[topicName]
	if e == nil {
		e = s.cache.add(r, topicName)
	}
	e.refresh(r, "")
	return *e
}

// invalidName is what topic.CheckName found, for DISCONNECT.
func invalidName(err error) error {
	fault := &packet.Error{Reason: packet.TopicNameInvalid, Detail: err.Error()}
	if wrong := (*topic.Error)(nil); errors.As(err, &wrong) { // [MQTT-4.7.3-1] [MQTT-4.7.0-1]
		fault.Rule, fault.Detail = wrong.Rule, wrong.Detail
	}
	return fault
}
