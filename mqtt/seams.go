package mqtt

import (
	"errors"
	"net"
	"time"

	"mangrove/mqtt/packet"
)

// ErrQuota is what a durable taker refuses with when its queue is at its bound: reason code 0x97.
var ErrQuota = errors.New("queue is full")

// Subscriber takes messages: a client's session, a neighbour broker, a tap.
// Safe for concurrent use. The pointer behind it is its identity.
type Subscriber interface {
	// Deliver hands m over and never blocks. Who keeps m longer keeps m.Kept(). When d.QoS >= 1 and the subscriber promises to keep
	// messages over a crash, it writes to r.Batch, or refuses. r is never nil.
	Deliver(m *Message, d Delivery, r *Receipt)
	// ClientID is the MQTT client id of a session, for No Local and for the strategies of shared subscriptions;
	// neighbours answer their node name.
	ClientID() string
	// Scope tells what kind of taker it is.
	Scope() Scope
	// Online reports whether a message would leave at once; shared subscriptions prefer such.
	Online() bool
}

// Router is where messages and subscriptions meet. Safe for concurrent use.
type Router interface {
	// Publish stamps m (ID, Origin), keeps it as retained when m.Retain, and hands it to every
	// matching subscriber. It does not close r and does not commit its batch.
	Publish(m *Message, r *Receipt)
	// Subscribe adds or replaces s's subscription under sub.Filter.
	Subscribe(s Subscriber, sub Subscription) (existed bool)
	// Unsubscribe takes the full filter.
	Unsubscribe(s Subscriber, filter string) (existed bool)
	// HandOver gives m, which a member of the shared subscription with that full filter was to get and will not, to
	// another member. m has been published before: nothing is stamped or retained. r.Taken tells whether there was one.
	HandOver(filter string, m *Message, r *Receipt)
	// Interest calls fn for each filter (without $share) that subscribers of these scopes hold,
	// with the highest QoS wanted, then for each change; wanted is false when the last holder went.
	// Calls are serialised and in order; fn must not block or call the Router. stop ends them.
	Interest(scopes Scope, fn func(filter string, qos byte, wanted bool)) (stop func())
}

// Retained keeps the last message of each topic that was published with RETAIN.
type Retained interface {
	// Set keeps m (m.Kept), or forgets its topic when the payload is empty. It becomes visible at once and
	// stable with r's batch.
	Set(m *Message, r *Receipt)
	// Match visits the retained messages whose topic matches filter (without $share), expired ones
	// left out, while visit returns true.
	Match(filter string, now time.Time, visit func(*Message) bool)
	// Holds reports whether the message retained for topic is the one of that origin, without reading it. An expired
	// one counts until it is swept.
	Holds(topic string, o Origin) bool
}

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

// Finisher is what an Outlet also implements when its client may have said more than has been handled.
type Finisher interface {
	// Finish waits, a moment at most, until what the client has sent is handled, or its connection has ended. A
	// session is asked to go to another connection only after that: a DISCONNECT that came first counts first.
	Finish()
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
	// Resume starts or goes on sending: after CONNACK, and when an output buffer that was Full has drained.
	Resume()
	// Subscribe keeps the subscriptions and registers them with the Router. existed tells per entry whether
	// it replaced one. It returns when they are stable, if the session is durable.
	Subscribe(subs []Subscription) (existed []bool, err error)
	Unsubscribe(filters []string) (existed []bool, err error)
	// Take notes that a QoS 2 PUBLISH came in, in r's batch. repeat = it is known already: not to be
	// published again, only acknowledged once the earlier one is stable, which r waits for.
	// When r ends with an error the id is forgotten before r's done is called, so PUBREC may carry a reason
	// code >= 0x80. Take must come before r.Close. [MQTT-4.3.3-10]
	Take(packetID uint16, r *Receipt) (repeat bool)
	// Acked handles PUBACK, PUBREC, PUBREL and PUBCOMP from the client and answers through the
	// Outlet, when what the answer promises is stable. An error is the client's fault (*packet.Error).
	Acked(kind packet.Type, packetID uint16, reason packet.ReasonCode) error
	// Detach ends the connection of out; nothing happens when another has taken over. The will is
	// published, delayed or dropped here.
	Detach(out Outlet, req DetachRequest)
}

// Client is who is connecting, for the Authority.
type Client struct {
	ID       string
	Username string
	Password []byte
	HasUser  bool
	Addr     net.Addr
	Listener string // the listener's address as configured
	Version  packet.Version
	Link     bool // asks to be a link of another node
}

// Authority decides who may connect and what they may do. Safe for concurrent use.
type Authority interface {
	// Authenticate answers nil, or an error whose reason code (*packet.Error) goes into CONNACK.
	Authenticate(c *Client) error
	MayPublish(c *Client, topic string) bool
	MaySubscribe(c *Client, filter string) bool
}

// Exchanger is what an Authority also implements when it offers enhanced authentication (section 4.12). Safe
// for concurrent use.
type Exchanger interface {
	// Begin starts an exchange of the method that the client named, for CONNECT or to authenticate again. c
	// is the exchange's until it ends: then c.Username is who the client has proved to be. A method that
	// is not offered is a *packet.Error with BadAuthenticationMethod.
	Begin(c *Client, method string) (Exchange, error)
}

// Exchange is one run of an authentication method. One goroutine at a time.
type Exchange interface {
	// Step takes the data the client sent, nil for none, and returns what to answer. done = the client has
	// proved who it is; answer goes with the news. An error (*packet.Error) refuses the client. data is valid
	// during the call only.
	Step(data []byte) (answer []byte, done bool, err error)
}

// LinkProperty is the user property of a CONNECT that asks for a link; its value is the range of
// protocol versions, as "1-1".
const LinkProperty = "mangrove-link"

// Links takes over connections whose CONNECT carries LinkProperty.
type Links interface {
	// Accept is asked after authentication. versions is the property's value. An error is answered in CONNACK.
	Accept(c *Client, versions string, out Carrier) (LinkEnd, error)
}

// Carrier sends link frames over a connection: the engine's connection on the accepting side,
// the client on the dialling side.
type Carrier interface {
	// Frame sends one frame as a QoS 0 PUBLISH on $link/kind. It may block while the connection's buffer is
	// full, until Close. body is the caller's again after the call.
	Frame(kind string, body []byte) error
	// Close ends the connection with DISCONNECT. Does not block; may be called from anywhere, twice.
	Close(reason packet.ReasonCode)
}

// LinkEnd is what a link is to the connection under it.
type LinkEnd interface {
	// Frame takes a frame that came in. body is valid only during the call. Blocking slows the neighbour. An error
	// closes the connection.
	Frame(kind string, body []byte) error
	// Closed tells that the connection is gone. Called once, after the last Frame.
	Closed(err error)
}
