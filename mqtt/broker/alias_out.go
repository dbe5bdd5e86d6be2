package broker

import (
	"sync"

	"mangrove/mqtt"
)

const (
	// maxGiven is how many topic aliases the server gives one client at most, however many it allows. When
	// one more is wanted, that of the topic not sent for the longest time gets the new topic.
	maxGiven = 32
	// minAliased is the length of a topic from which on an alias saves anything.
	minAliased = 4
)

// outAliases are the topic aliases that the server has given to a client, which says in CONNECT how many it
// takes; none before 5.0. An alias counts from the PUBLISH that names topic and alias, so mu is held until
// that one stands in the output. [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.3.2-11]
type outAliases struct {
	max int // 0 = none; set while CONNECT is handled

	mu    sync.Mutex
	given []givenAlias // alias 1 at 0
	index map[string]int
	clock uint64
}

type givenAlias struct {
	topic string
	used  uint64
}

func (a *outAliases) init(allowed uint16) { a.max = min(int(allowed), maxGiven) }

// useful reports whether PUBLISH packets on this topic go with an alias.
func (a *outAliases) useful(topicName string) bool { return a.max > 0 && len(topicName) >= minAliased }

// lookLocked finds the alias of a topic, or the one it would get. known = the client knows it.
func (a *outAliases) lookLocked(topicName string) (alias uint16, known bool) {
	if i, ok := a.index[topicName]; ok {
		return uint16(i + 1), true
	}
	if len(a.given) < a.max {
		return uint16(len(a.given) + 1), false
	}
	oldest := 0
	for i := range a.given {
		if a.given[i].used < a.given[oldest].used {
			oldest = i
		}
	}
	return uint16(oldest + 1), false
}

// sentLocked notes that a PUBLISH with this alias is on its way.
func (a *outAliases) sentLocked(topicName string, alias uint16, known bool) {
	a.clock++
	i := int(alias) - 1
	switch {
	case known:
	case i == len(a.given):
		a.given = append(a.given, givenAlias{})
	default:
		delete(a.index, a.given[i].topic)
	}
	a.given[i].used = a.clock
	if known {
		return
	}
	a.given[i].topic = topicName
	if a.index == nil {
		a.index = map[string]int{}
	}
	a.index[topicName] = i
}

// publishAliased is Publish with a topic alias.
func (c *conn) publishAliased(m *mqtt.Message, d mqtt.Delivery, packetID uint16, dup bool) mqtt.SendResult {
	a := &c.given
	a.mu.Lock()
	defer a.mu.Unlock()
	alias, known := a.lookLocked(m.Topic)
	name := m.Topic
	if known {
		name = ""
	}
	result := c.publish(m, name, alias, d, packetID, dup)
	if result == mqtt.Sent {
		a.sentLocked(m.Topic, alias, known)
	}
	return result
}
