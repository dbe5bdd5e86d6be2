package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/internal/hlc"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// OriginProperty is the user property that names a message across the fleet: store id in hexadecimal, "-", number in
// decimal. With it another edge at the same broker recognises repeats and loops.
const OriginProperty = "mangrove-origin"

// VersionProperty is the user property with a retained message's version (mqtt.Message.Version) in hexadecimal. With it
// edges at the same broker agree which message of a topic is the newest.
const VersionProperty = "mangrove-version"

// ErrTooLarge means that the packet is above the broker's Maximum Packet Size [MQTT-3.2.2-15]. It was not sent.
var ErrTooLarge = errors.New("packet is larger than the broker takes")

// Publish writes m at qos 0 or 1. It may not leave before Flush. At QoS 1 token is what OnAck will be called with; the
// caller keeps to Window. m is not changed and not held on to.
func (c *Conn) Publish(m *mqtt.Message, qos byte, token uint64) error {
	p := c.outbound(m, qos)
	if c.tooLarge(p) {
		return ErrTooLarge
	}
	c.wire.hold()
	c.session.nextToken(token)
	_, err := c.paho.PublishWithOptions(context.Background(), p, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend})
	if err != nil {
		return fmt.Errorf("publish to broker: %w", err)
	}
	return nil
}

// Flush sends what was published.
func (c *Conn) Flush() error { return c.wire.flush() }

// tooLarge measures p when the broker has a bound.
func (c *Conn) tooLarge(p *paho.Publish) bool {
	limits := c.connack.Properties
	if limits == nil || limits.MaximumPacketSize == nil {
		return false
	}
	n, err := p.Packet().WriteTo(io.Discard)
	return err == nil && n > int64(*limits.MaximumPacketSize)
}

func (c *Conn) outbound(m *mqtt.Message, qos byte) *paho.Publish {
	p := &paho.Publish{Topic: m.Topic, Payload: m.Payload, QoS: qos, Retain: m.Retain && c.retains(), Properties: properties(m.Props)}
	if m.Origin.Life != 0 {
		p.Properties.User.Add(OriginProperty, originText(m.Origin))
		if m.Version != 0 {
			p.Properties.User.Add(VersionProperty, strconv.FormatUint(uint64(m.Version), 16))
		}
	}
	if !m.Expires.IsZero() { // what is left of it [MQTT-3.3.2-6]
		left := max(seconds(m.Expires.Sub(c.cfg.Now())), 1)
		p.Properties.MessageExpiry = &left
	}
	return p
}

// retains tells whether the broker keeps retained messages; where it does not, RETAIN must not be set [MQTT-3.2.2-14].
func (c *Conn) retains() bool {
	return c.connack.Properties == nil || c.connack.Properties.RetainAvailable
}

// properties are those that travel with a message. An origin that a client invented does not.
func properties(from *packet.Properties) *paho.PublishProperties {
	p := new(paho.PublishProperties)
	if from.Has(packet.PropPayloadFormat) {
		format := from.PayloadFormat
		p.PayloadFormat = &format
	}
	if from.Has(packet.PropContentType) {
		p.ContentType = from.ContentType
	}
	if from.Has(packet.PropResponseTopic) {
		p.ResponseTopic = from.ResponseTopic
	}
	if from.Has(packet.PropCorrelationData) {
		p.CorrelationData = from.CorrelationData
	}
	if from.Has(packet.PropUser) {
		for _, u := range from.User {
			if u.Name != OriginProperty && u.Name != VersionProperty {
				p.User.Add(u.Name, u.Value)
			}
		}
	}
	return p
}

func originText(o mqtt.Origin) string {
	return fmt.Sprintf("%016x-%d", o.Life, o.Seq)
}

// parseVersion reads a version; 0 for anything else.
func parseVersion(s string) hlc.Time {
	v, err := strconv.ParseUint(s, 16, 64)
	if err != nil || !hlc.Time(v).Valid() {
		return 0
	}
	return hlc.Time(v)
}

// parseOrigin reads originText; ok is false for anything else.
func parseOrigin(s string) (o mqtt.Origin, ok bool) {
	if len(s) < 18 || s[16] != '-' {
		return o, false
	}
	life, err1 := strconv.ParseUint(s[:16], 16, 64)
	seq, err2 := strconv.ParseUint(s[17:], 10, 64)
	return mqtt.Origin{Life: life, Seq: seq}, err1 == nil && err2 == nil && life != 0
}
