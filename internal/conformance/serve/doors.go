package serve

import (
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Closed is the topic, and the filter, that Doors keeps shut.
const Closed = "secret"

// Doors is an Authority: user "nobody" is unknown, client id "bad id" not valid, topic Closed is closed.
type Doors struct{}

var _ mqtt.Authority = Doors{}

// Authenticate implements mqtt.Authority.
func (Doors) Authenticate(c *mqtt.Client) error {
	switch {
	case c.Username == "nobody":
		return &packet.Error{Reason: packet.BadUserNameOrPassword, Detail: "not known"}
	case c.ID == "bad id":
		return &packet.Error{Reason: packet.ClientIdentifierNotValid, Detail: "has a space"}
	}
	return nil
}

// MayPublish implements mqtt.Authority.
func (Doors) MayPublish(_ *mqtt.Client, topic string) bool { return topic != Closed }

// MaySubscribe implements mqtt.Authority.
func (Doors) MaySubscribe(_ *mqtt.Client, filter string) bool { return filter != Closed }
