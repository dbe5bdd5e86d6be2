package router

import (
	"sync"

	"mangrove/mqtt"
)

// target is one subscriber of a topic with the sum of its subscriptions that match.
type target struct {
	to    mqtt.Subscriber
	scope mqtt.Scope
	qos   byte
	rap   bool // show RETAIN as published
	ids   []uint32
}

// match finds the subscribers of a topic. [MQTT-3.3.2-3] [MQTT311-3.3.2-3] publisher is who publishes there, for No Local.
func (r *Router) match(topicName, publisher string) []target {
	m := mergers.Get().(*merger)
	r.tree.Match(topicName, func(s mqtt.Subscriber, sub terms) {
		scope := s.Scope()
		// [MQTT-3.8.3-3] A neighbour's name may equal a client id by chance.
		if sub.noLocal && scope&linkScopes == 0 && publisher != "" && publisher == s.ClientID() {
			return
		}
		rap := sub.rap || scope&linkScopes != 0
		m.add(target{to: s, scope: scope, qos: sub.qos, rap: rap}, sub.id)
	})
	return uplinkLast(m.take())
}

// uplinkLast has the cores asked when it is known whether anybody here has written: see Receipt.MayWait.
func uplinkLast(found []target) []target {
	for i := range found {
		if last := len(found) - 1; found[i].scope == mqtt.ScopeUplink {
			found[i], found[last] = found[last], found[i]
		}
	}
	return found
}

// merger sums several subscriptions of one subscriber into one target with the highest QoS and every
// identifier. [MQTT-3.3.4-2] [MQTT-3.3.4-3] [MQTT311-3.3.5-1]
type merger struct {
	found []target
	index map[mqtt.Subscriber]int // of found, once it is long
}

// mergers recycles mergers, so that a match allocates only its result.
var mergers = sync.Pool{New: func() any { return new(merger) }}

// maxMerger is the number of targets from which on a merger is left to the garbage collector.
const maxMerger = 1024

// take returns what was found, as large as it is, and gives m back.
func (m *merger) take() []target {
	found := make([]target, len(m.found))
	copy(found, m.found)
	if len(found) <= maxMerger {
		clear(m.found) // nobody is kept alive
		m.found, m.index = m.found[:0], nil
		mergers.Put(m)
	}
	return found
}

// longMerge is the number of targets from which on a map is cheaper than looking at each.
const longMerge = 16

func (m *merger) add(t target, id uint32) {
	i := m.find(t.to)
	if i < 0 {
		i = len(m.found)
		m.found = append(m.found, t)
		m.remember(i)
	}
	have := &m.found[i]
	have.qos = max(have.qos, t.qos)
	have.rap = have.rap || t.rap
	if id != 0 {
		have.ids = append(have.ids, id)
	}
}

func (m *merger) find(s mqtt.Subscriber) int {
	if m.index != nil {
		if i, ok := m.index[s]; ok {
			return i
		}
		return -1
	}
	for i := range m.found {
		if m.found[i].to == s {
			return i
		}
	}
	return -1
}

func (m *merger) remember(i int) {
	switch {
	case m.index != nil:
		m.index[m.found[i].to] = i
	case len(m.found) == longMerge:
		m.index = make(map[mqtt.Subscriber]int, 4*longMerge)
		for i := range m.found {
			m.index[m.found[i].to] = i
		}
	}
}

// delivery is what m becomes for t.
func (t *target) delivery(m *mqtt.Message) mqtt.Delivery {
	return mqtt.Delivery{
		QoS:    min(m.QoS, t.qos),               // [MQTT-3.8.4-8] [MQTT311-3.8.4-6]
		Retain: m.Retain && (t.rap || m.Replay), // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT311-3.3.1-9]
		IDs:    t.ids,                           // [MQTT-3.3.4-3]
	}
}

// loops tells that m must not go to t: back to where it came from, or between cores a second time.
func (t *target) loops(m *mqtt.Message) bool {
	if m.From.Scope == mqtt.ScopePeer && t.scope&(mqtt.ScopeClient|mqtt.ScopeEdge|mqtt.ScopeTap) == 0 {
		return true
	}
	return m.From.Scope&linkScopes != 0 && t.scope&linkScopes != 0 && m.From.Name == t.to.ClientID()
}
