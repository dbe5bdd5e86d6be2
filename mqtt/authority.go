package mqtt

import (
	"net"

	"mangrove/mqtt/packet"
)

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
	// MayPublish is asked about the topic that counts (topic.Counted), for each PUBLISH and for a will.
	MayPublish(c *Client, topic string) bool
	// MaySubscribe is asked about the filter that counts (topic.CountedFilter).
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
