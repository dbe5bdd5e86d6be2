package bridge

import (
	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// retainedTap gives retained messages to all peers, whatever their interest: each core holds them all.
type retainedTap struct{ b *Bridge }

// Deliver implements mqtt.Subscriber.
func (t *retainedTap) Deliver(m *mqtt.Message, _ mqtt.Delivery, r *mqtt.Receipt) {
	if !m.Retain {
		return
	}
	for _, n := range t.b.withScope(mqtt.ScopePeer) {
		if !n.loops(m) {
			n.take(m, m.QoS, frame.ItemMessage, r)
		}
	}
}

// ClientID implements mqtt.Subscriber.
func (t *retainedTap) ClientID() string { return "" }

// Scope implements mqtt.Subscriber.
func (t *retainedTap) Scope() mqtt.Scope { return mqtt.ScopePeer }

// Online implements mqtt.Subscriber.
func (t *retainedTap) Online() bool { return true }
