package mqtt

import (
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

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
	// Frame sends one frame as a QoS 0 PUBLISH on topic.LinkPrefix + kind. It may block while the connection's buffer
	// is full, until Close. body is the caller's again after the call.
	Frame(kind string, body []byte) error
	// Moved is what has crossed the connection so far; bytes that still wait on this side are among Unacked. false = nobody
	// can tell.
	Moved() (transport.Moved, bool)
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
