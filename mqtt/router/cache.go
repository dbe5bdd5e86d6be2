package router

import (
	"sync"

	"mangrove/internal/batch"
	"mangrove/mqtt/topic"
)

// maxCached bounds the topics whose subscribers one publisher's connection remembers. When one
// more comes, all are forgotten.
const maxCached = 256

// Cache remembers the subscribers of the topics one client publishes to, and the topics' strings, so that
// publishing there again allocates neither. It belongs to one publisher, since No Local is decided by the match,
// and to one goroutine. The zero value is empty.
type Cache struct{ topics map[string]*Topic }

// Topic is what a Cache knows of one topic. It is valid until the Cache is asked again.
type Topic struct {
	Name  string      // checked
	Slack batch.Slack // how stable a publish there is to be before it is acknowledged

	generation uint64 // of the tree when targets was found, plus 1; 0 = not yet
	targets    []target
}

// Get returns the entry of a topic of at most levels levels, up to date. publisher is the client id of the Cache's
// owner. name is copied when it must be kept. The error is topic.CheckName's.
func (c *Cache) Get(r *Router, publisher string, name []byte, levels int) (*Topic, error) {
	e := c.topics[string(name)]
	if e == nil {
		checked := string(name)
		if err := topic.CheckName(checked, levels); err != nil {
			return nil, err
		}
		e = c.add(r, checked)
	}
	e.refresh(r, publisher)
	return e, nil
}

func (c *Cache) add(r *Router, topicName string) *Topic {
	switch {
	case c.topics == nil:
		c.topics = make(map[string]*Topic)
	case len(c.topics) == maxCached:
		clear(c.topics) // keeps the map's buckets
	}
	e := &Topic{Name: topicName, Slack: r.cfg.Durability.of(topicName)}
	c.topics[topicName] = e
	return e
}

// refresh matches again when subscriptions have changed.
func (e *Topic) refresh(r *Router, publisher string) {
	generation := r.tree.Generation() + 1 // before the match: a change meanwhile makes the entry old at once
	if e.generation != generation {
		e.targets, e.generation = r.match(e.Name, publisher), generation
	}
}

// anonymousCache is a Cache for everybody who publishes under no client id: links, most of all. Safe for
// concurrent use.
type anonymousCache struct {
	mu    sync.Mutex
	cache Cache
}

// get returns a copy of the entry of a topic. Nobody changes the slice of subscribers in it.
func (s *anonymousCache) get(r *Router, topicName string) Topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.cache.topics[topicName]
	if e == nil {
		e = s.cache.add(r, topicName)
	}
	e.refresh(r, "")
	return *e
}
