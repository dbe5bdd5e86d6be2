package bridge

import (
	"mangrove/bridge/frame"
	"mangrove/bridge/reconcile"
	"mangrove/mqtt"
)

// retainedTap gives retained messages to who holds the topic, whatever their interest: to all peers, since each core holds
// them all, and to the edges whose clients have published to it.
type retainedTap struct{ b *Bridge }

// Deliver implements mqtt.Subscriber.
func (t *retainedTap) Deliver(m *mqtt.Message, _ mqtt.Delivery, r *mqtt.Receipt) {
	if !m.Retain {
		return
	}
	for _, n := range t.b.withScope(mqtt.ScopePeer) {
		if !n.loops(m) && !n.trimmed.Load() { // both compare when it is back
			n.take(m, m.QoS, frame.ItemMessage, r)
		}
	}
	key := reconcile.KeyOf(m.Topic)
	for _, n := range t.b.holders.of(key) {
		if !n.loops(m) {
			n.take(m, m.QoS, frame.ItemMessage, r)
		}
	}
	if len(m.Payload) == 0 {
		t.b.holders.forget(key)
	}
}

// ClientID implements mqtt.Subscriber.
func (t *retainedTap) ClientID() string { return "" }

// Scope implements mqtt.Subscriber. What comes from a peer is for edges that hold the topic, and for no peer (loops).
func (t *retainedTap) Scope() mqtt.Scope { return mqtt.ScopeTap }

// Online implements mqtt.Subscriber.
func (t *retainedTap) Online() bool { return true }
