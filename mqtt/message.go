package mqtt

import (
	"time"

	"mangrove/internal/hlc"
	"mangrove/mqtt/packet"
)

// Message is one application message on its way through a node. All its takers share it, and nobody changes it once
// Router.Publish has it, but the Router and Retained.Set as the fields say. It may be lent (Loan): a taker that needs
// it after Deliver calls Kept.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte // as published
	Retain  bool // as published; Retained.Set takes it away where a newer message is held

	// Replay marks a retained message that a neighbour sent because of a new subscription here: takers
	// see it as retained, not as published just now [MQTT311-3.3.1-8].
	Replay bool
	// Healed marks a retained message that a neighbour sent because this node held an older one. To takers it is one published now.
	Healed bool

	// Props are the properties that travel with a message: payload format, content type, response
	// topic, correlation data, user properties. nil when there are none.
	Props *packet.Properties
	// Expires is when the message stops being worth delivering; zero = never.
	Expires time.Time

	// Publisher is the client id that published it at this node, for No Local; "" otherwise.
	Publisher string
	// From is where this node got it.
	From Source
	// Origin names the message across the fleet; Router.Publish sets it when it is zero.
	Origin Origin
	// Version says when a retained message was published, so that the newest of a topic is the same one everywhere;
	// Retained.Set sets it when it is 0. Messages that are not retained have none.
	Version hlc.Time
	// ID names the message's body in this node's store; Router.Publish sets it. Never 0 after that.
	ID uint64

	loan *Loan // the loan that ends the message's validity; nil = takers may keep the message as it is
}

// Origin is the life of the node that first accepted a message, and the number it gave it: how repeats are
// recognised wherever the message meets itself again. A life is one start of a node: copies of its data folder give the
// same numbers, each in a life of its own. Nodes of the version before had their store id in its place.
type Origin struct {
	Life uint64 // random; 0 = not stamped yet
	Seq  uint64 // rises with each message of that life
}

// Source tells who handed a message to this node.
type Source struct {
	Scope Scope
	Name  string // neighbour name; "" for clients and the node itself
}

// Scope says what kind of taker or giver somebody is, as seen from this node. Values are bits, so
// that sets of scopes can be written as a | b.
type Scope byte

const (
	ScopeClient Scope = 1 << iota // a client of this node, or the node itself
	ScopeEdge                     // an edge attached to this core
	ScopePeer                     // another core, seen from a core
	ScopeUplink                   // the cores, seen from an edge
	ScopeTap                      // an observer that does not count as interest
)

// Expired reports whether the message is past its expiry at now.
func (m *Message) Expired(now time.Time) bool {
	return !m.Expires.IsZero() && !now.Before(m.Expires)
}

// Size estimates the bytes m holds in memory.
func (m *Message) Size() int { return len(m.Topic) + len(m.Payload) + 160 }
