package mqtt

import (
	"time"

	"mangrove/mqtt/packet"
)

// Outlet is a session's way to its connected client; implemented by the engine's connection.
// No call blocks. Calls come in the order the packets must leave in. The session may hold its lock.
type Outlet interface {
	// Publish writes a PUBLISH. packetID is 0 at QoS 0.
	Publish(m *Message, d Delivery, packetID uint16, dup bool) SendResult
	// Ack writes PUBREL or PUBCOMP.
	Ack(kind packet.Type, packetID uint16, reason packet.ReasonCode)
	// Close ends the connection: taken over, administrative, shutting down.
	Close(reason packet.ReasonCode)
}

// Awaiter is what an Outlet also implements when its client may have said more than has been handled.
type Awaiter interface {
	// AwaitHandled waits, a moment at most, until what the client has sent is handled, or its connection has ended. A
	// session is asked to go to another connection only after that: a DISCONNECT that came first counts first.
	AwaitHandled()
}

// SendResult is what became of one Outlet.Publish.
type SendResult byte

const (
	Sent     SendResult = iota // in the connection's output buffer
	TooLarge                   // above the client's Maximum Packet Size: to be dropped and counted [MQTT-3.1.2-25]
	Full                       // the output buffer is at its bound: QoS 0 is dropped and counted, QoS>=1 waits for Resume
)

// OpenRequest is a CONNECT as the session state sees it.
type OpenRequest struct {
	ClientID       string
	Clean          bool          // discard what there was [MQTT-3.1.2-4]
	Expiry         time.Duration // how long the session outlives its connection; < 0 = for ever, 0 = ends with it
	ReceiveMaximum uint16        // QoS>=1 messages the client takes before acknowledging; never 0
	Will           *Message      // nil = none; permission was checked
	WillDelay      time.Duration
	WillExpiry     time.Duration // Message Expiry Interval of the will, counted from its publication; 0 = none
}

// DetachRequest is the end of a connection as the session state sees it.
type DetachRequest struct {
	DropWill bool           // a normal DISCONNECT
	Expiry   *time.Duration // changed by DISCONNECT; nil = as opened
}

// Sessions keeps what each client is owed between its connections.
type Sessions interface {
	// Open attaches out to the client's session. An earlier connection of the same client id is closed with
	// SessionTakenOver first [MQTT-3.1.4-3]. It returns when a durable session is on stable storage;
	// present is for CONNACK. The caller sends CONNACK and then calls Session.Resume.
	Open(req OpenRequest, out Outlet) (s Session, present bool, err error)
}

// Session is one client's state. As a Subscriber it takes messages whether or not the client is connected.
// Safe for concurrent use.
type Session interface {
	Subscriber
	Subscriptions
	Attachment
}

// Subscriptions is a session as what its client subscribes to. Both calls return when the change is stable, if the
// session is durable.
type Subscriptions interface {
	// Subscribe keeps the subscriptions and registers them with the Router, which answers for each.
	Subscribe(subs []Subscription) ([]Subscribed, error)
	// Replay is Deliver for a message that was retained when the client subscribed, and does nothing once held says that it was
	// replaced: the one in its place is delivered as it is published. held nil = it is the last in any case.
	Replay(m *Message, d Delivery, held Retention, r *Receipt)
	// Unsubscribe takes full filters. existed tells per entry whether there was such a subscription.
	Unsubscribe(filters []string) (existed []bool, err error)
}

// Attachment is a session as its client's connection sees it, from CONNACK to the end of the connection.
type Attachment interface {
	// Resume starts or goes on sending: after CONNACK, and when an output buffer that was Full has drained.
	Resume()
	// Take notes that a QoS 2 PUBLISH came in, in r's batch. repeat = it is known already: not to be
	// published again, only acknowledged once the earlier one is stable, which r waits for.
	// When r ends with an error the session forgets the id before it lets r be done, so PUBREC may carry a reason
	// code >= 0x80. Take must come before r.Close. [MQTT-4.3.3-10]
	Take(packetID uint16, r *Receipt) (repeat bool)
	// Acked handles PUBACK, PUBREC, PUBREL and PUBCOMP from the client and answers through the
	// Outlet, when what the answer promises is stable. An error is the client's fault (*packet.Error).
	Acked(kind packet.Type, packetID uint16, reason packet.ReasonCode) error
	// Detach ends the connection of out; nothing happens when another has taken over. The session publishes, delays or
	// drops the will.
	Detach(out Outlet, req DetachRequest)
}
