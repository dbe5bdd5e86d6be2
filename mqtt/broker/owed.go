package broker

import (
	"mangrove/mqtt"
)

// maxOwed is how many retained messages one connection may be owed; more are dropped and counted. They stay
// retained, and nobody was promised them.
const maxOwed = 100_000

// roomy is a session that tells whether retained messages may be added to its queue. Sessions that cannot
// tell take them all.
type roomy interface {
	// Room reports whether a message of that size would leave place for live ones.
	Room(size int) bool
}

// owed are the retained messages of QoS>=1 that a new subscription found and the session's queue had no room
// for. They are sent as the client acknowledges others:
//
//	SUBSCRIBE ─→ retained ─┬─ room ─→ session
//	                       └─ none ─→ owed ──(acknowledgements came: after the step)──→ session
//
// Only their names are kept. One that was replaced meanwhile came as a live message. Reader only.
type owed struct {
	list []owedMessage
	subs []mqtt.Subscription // that owedMessage.sub points into
}

type owedMessage struct {
	topic string
	id    uint64 // of the message, to tell it from one that replaced it
	size  int
	sub   int
}

// hasRoom reports whether the session takes one more retained message now.
func (c *conn) hasRoom(size int) bool {
	s, ok := c.session.(roomy)
	return !ok || s.Room(size)
}

// owe puts m off. false = too many are put off already.
func (o *owed) owe(m *mqtt.Message, sub mqtt.Subscription) bool {
	if len(o.list) >= maxOwed {
		return false
	}
	if n := len(o.subs); n == 0 || o.subs[n-1].Filter != sub.Filter {
		o.subs = append(o.subs, sub)
	}
	o.list = append(o.list, owedMessage{m.Topic, m.ID, m.Size(), len(o.subs) - 1})
	return true
}

// forget lets go of what is owed under a filter: it was unsubscribed, or is looked up anew.
func (o *owed) forget(filter string) {
	kept := o.list[:0]
	for _, m := range o.list {
		if o.subs[m.sub].Filter != filter {
			kept = append(kept, m)
		}
	}
	clear(o.list[len(kept):])
	if o.list = kept; len(kept) == 0 {
		o.list, o.subs = nil, nil
	}
}

// payOwed hands over as many of the messages owed as there is room for.
func (c *conn) payOwed() {
	o := &c.rd.owed
	paid := 0
	var send *retainedSender
	for _, next := range o.list {
		if !c.hasRoom(next.size) {
			break
		}
		if send == nil || send.sub.Filter != o.subs[next.sub].Filter {
			if send != nil {
				send.commit()
			}
			send = newRetainedSender(c, o.subs[next.sub])
		}
		paid++
		c.srv.cfg.Retained.Replay(next.topic, c.srv.now(), next.id, func(m *mqtt.Message, held mqtt.Retention) bool {
			return m.ID != next.id || send.deliver(m, held)
		})
	}
	if send != nil {
		send.commit()
	}
	if o.list = o.list[paid:]; len(o.list) == 0 {
		o.list, o.subs = nil, nil
	}
}

// dropOwed counts what is owed still when the connection ends.
func (c *conn) dropOwed() {
	if n := len(c.rd.owed.list); n > 0 {
		c.srv.metrics.registry.Dropped(dropRetained).Add(n)
	}
}
