package mqtt

import "mangrove/mqtt/packet"

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
	// Line is what is known of the way to the other end; false = nothing is.
	Line() (Line, bool)
	// Close ends the connection with DISCONNECT. Does not block; may be called from anywhere, twice.
	Close(reason packet.ReasonCode)
}

// Line is what is known of the way to the other end of a connection.
type Line struct {
	Unacked int    // bytes that were handed over and that the other end's kernel has not acknowledged
	Moved   uint64 // bytes acknowledged and received since the beginning, on the line
}

// LinkEnd is what a link is to the connection under it.
type LinkEnd interface {
	// Frame takes a frame that came in. body is valid only during the call. Blocking slows the neighbour. An error
	// closes the connection.
	Frame(kind string, body []byte) error
	// Closed tells that the connection is gone. Called once, after the last Frame.
	Closed(err error)
}
