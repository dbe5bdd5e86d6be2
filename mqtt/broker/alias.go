package broker

import (
	"fmt"

	"mangrove/mqtt/packet"
)

// inAliases are the topic aliases a client has set. They live as long as the connection.
// [MQTT-3.3.2-7]
type inAliases struct{ topics map[uint16]string }

// topicOf returns the topic name of p, from the alias when p has none. name may alias p's buffer.
// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-12]
func (c *conn) topicOf(p *packet.Publish) (name []byte, err error) {
	if !p.Props.Has(packet.PropTopicAlias) {
		return p.Topic, nil
	}
	alias := p.Props.TopicAlias
	if alias == 0 || alias > c.grants.aliases { // [MQTT-3.3.2-8] [MQTT-3.3.2-9]
		return nil, &packet.Error{Reason: packet.TopicAliasInvalid, Rule: "MQTT-3.3.2-9",
			Detail: fmt.Sprintf("topic alias is %d, allowed are 1 to %d", alias, c.grants.aliases)}
	}
	if len(p.Topic) > 0 {
		if c.rd.aliases.topics == nil {
			c.rd.aliases.topics = map[uint16]string{}
		}
		c.rd.aliases.topics[alias] = string(p.Topic)
		return p.Topic, nil
	}
	known, ok := c.rd.aliases.topics[alias]
	if !ok {
		return nil, &packet.Error{Reason: packet.ProtocolError, Detail: fmt.Sprintf("topic alias %d was not set", alias)}
	}
	return []byte(known), nil
}
