package remote

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// received is what paho calls for each PUBLISH.
func (c *Conn) received(r paho.PublishReceived) (bool, error) {
	id := uint16(0)
	if r.Packet.QoS > 0 {
		id = r.Packet.PacketID
	}
	sub := uint32(0)
	if p := r.Packet.Properties; c.wire.nextMarks() == 1 && p != nil && p.SubscriptionIdentifier != nil {
		sub = uint32(*p.SubscriptionIdentifier)
	}
	c.cfg.OnMessage(inbound(r.Packet, c.cfg.Now()), id, sub)
	return true, nil
}

// Ack says that a message is kept. It may not leave before Flush.
func (c *Conn) Ack(id uint16) error {
	c.wire.hold()
	return c.session.acknowledge(id)
}

// inbound makes a message of a PUBLISH. paho checks no text: properties that no client could have sent are left out,
// so that they are not handed to one. The topic is for the caller to check.
func inbound(p *paho.Publish, now time.Time) *mqtt.Message {
	m := &mqtt.Message{Topic: p.Topic, Payload: p.Payload, QoS: p.QoS, Retain: p.Retain}
	if p.Properties == nil {
		return m
	}
	if p.Properties.MessageExpiry != nil {
		m.Expires = now.Add(time.Duration(*p.Properties.MessageExpiry) * time.Second)
	}
	props := new(packet.Properties)
	if f := p.Properties.PayloadFormat; f != nil && *f <= 1 {
		props.PayloadFormat = *f
		props.Mark(packet.PropPayloadFormat)
	}
	if s := p.Properties.ContentType; s != "" && isText(s) {
		props.ContentType = s
		props.Mark(packet.PropContentType)
	}
	if s := p.Properties.ResponseTopic; s != "" && isText(s) && !strings.ContainsAny(s, "#+") { // [MQTT-3.3.2-14]
		props.ResponseTopic = s
		props.Mark(packet.PropResponseTopic)
	}
	if b := p.Properties.CorrelationData; len(b) > 0 {
		props.CorrelationData = b
		props.Mark(packet.PropCorrelationData)
	}
	for _, u := range p.Properties.User {
		takeUser(m, props, u)
	}
	if m.Origin.Life == 0 || !m.Retain {
		m.Version = 0
	}
	if props.Set != 0 {
		m.Props = props
	}
	return m
}

// takeUser adds one user property to props, or to m the origin or version that it is.
func takeUser(m *mqtt.Message, props *packet.Properties, u paho.UserProperty) {
	switch u.Key {
	case OriginProperty:
		if o, ok := parseOrigin(u.Value); ok {
			m.Origin = o
		}
	case VersionProperty:
		m.Version = parseVersion(u.Value)
	default:
		if isText(u.Key) && isText(u.Value) {
			props.User = append(props.User, packet.UserProperty{Name: u.Key, Value: u.Value})
			props.Mark(packet.PropUser)
		}
	}
}

// isText holds what MQTT strings may be [MQTT-1.5.4-1] [MQTT-1.5.4-2].
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }
