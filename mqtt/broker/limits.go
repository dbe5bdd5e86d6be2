package broker

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// Limits are what the clients of one listener are granted. A zero value is the Server's own bound, or
// none: the zero Limits switch nothing off. A negative one grants no bound or none, as the fields say. 5.0 clients are
// told in CONNACK.
type Limits struct {
	MaxPacket         uint32        // bytes of one packet a client may send
	ReceiveMaximum    uint16        // QoS>=1 publishes a client may have unacknowledged
	TopicAliasMaximum int           // topic aliases a client may set; negative = none
	TopicLevels       int           // of a topic name or filter; above: 0x90, in SUBACK 0x8F
	KeepAliveMax      time.Duration // 5.0 clients that ask for more are given this; negative = no bound
	SessionExpiryMax  time.Duration // sessions that ask for more are given this; negative = no bound
	MaxQoS            int           // of a PUBLISH, and granted to subscriptions: 1, or QoS0Only, which is negative; above: 0x9B, before 5.0 closed

	// What is not available. 5.0 clients that do it all the same are disconnected with the reason given here.
	NoRetain          bool // 0x9A; before 5.0 RETAIN is ignored
	NoWildcards       bool // 0xA2; before 5.0 the filter is refused in SUBACK
	NoShared          bool // 0x9E; before 5.0 likewise
	NoSubscriptionIDs bool // 0xA1

	// Redirect, when set, sends every client but links elsewhere instead of letting it in.
	Redirect Redirect
}

// QoS0Only is the Limits.MaxQoS that grants neither QoS 1 nor 2.
const QoS0Only = -1

// Redirect is where clients are sent. Before 5.0 they are told that the server is unavailable.
type Redirect struct {
	To    string // host or host:port, several separated by spaces (section 4.11); "" = nowhere
	Moved bool   // for good: 0x9D instead of 0x9C
}

func (r Redirect) reason() packet.ReasonCode {
	if r.Moved {
		return packet.ServerMoved
	}
	return packet.UseAnotherServer
}

// check tells what cannot be.
func (l *Limits) check() error {
	switch {
	case l.KeepAliveMax > 0 && l.KeepAliveMax < time.Second || l.KeepAliveMax > 65535*time.Second:
		return fmt.Errorf("KeepAliveMax is %v, must be at least 1 s and at most 65535 s", l.KeepAliveMax)
	case l.SessionExpiryMax > math.MaxUint32*time.Second:
		return fmt.Errorf("SessionExpiryMax is %v, allowed are 0 s to %d s", l.SessionExpiryMax, uint32(math.MaxUint32))
	case l.TopicAliasMaximum > 65535:
		return fmt.Errorf("TopicAliasMaximum is %d, allowed are 0 to 65535", l.TopicAliasMaximum)
	case l.TopicLevels < 0 || l.TopicLevels > topic.MaxLength:
		return fmt.Errorf("TopicLevels is %d, allowed are 0 to %d", l.TopicLevels, topic.MaxLength)
	case l.MaxQoS < QoS0Only || l.MaxQoS > 2:
		return fmt.Errorf("MaxQoS is %d, allowed are -1 (QoS 0 only) to 2", l.MaxQoS)
	case len(l.Redirect.To) > math.MaxUint16:
		return errors.New("Redirect.To has more than 65,535 bytes")
	}
	return nil
}

// grants are the Limits of a listener with the Server's bounds filled in. Shared by its connections.
type grants struct {
	Limits
	qos     byte
	aliases uint16
	retain  bool
}

// grant fills in l.
func (c *Config) grant(l Limits) *grants {
	l.MaxPacket = cmp.Or(l.MaxPacket, c.MaxPacket)
	l.ReceiveMaximum = cmp.Or(l.ReceiveMaximum, c.ReceiveMaximum)
	l.TopicAliasMaximum = cmp.Or(l.TopicAliasMaximum, int(c.TopicAliasMaximum))
	l.TopicLevels = cmp.Or(l.TopicLevels, c.TopicLevels)
	l.KeepAliveMax = cmp.Or(l.KeepAliveMax, c.KeepAliveMax)
	l.SessionExpiryMax = cmp.Or(l.SessionExpiryMax, c.SessionExpiryMax)
	l.MaxQoS = cmp.Or(l.MaxQoS, 2)
	return &grants{Limits: l, qos: byte(max(0, l.MaxQoS)), aliases: uint16(max(0, l.TopicAliasMaximum)),
		retain: c.Retained != nil && !l.NoRetain}
}

// expiry caps what a session asks for; negative = for ever.
func (g *grants) expiry(d time.Duration) time.Duration {
	if most := g.SessionExpiryMax; most > 0 && (d < 0 || d > most) {
		return most.Truncate(time.Second)
	}
	return d
}

// stateBounds tells a 5.0 client its bounds, where they differ from what the standard supposes.
func (g *grants) stateBounds(answer *packet.Properties) {
	if g.ReceiveMaximum != 65535 {
		answer.ReceiveMaximum = g.ReceiveMaximum
		answer.Mark(packet.PropReceiveMaximum)
	}
	if g.aliases > 0 {
		answer.TopicAliasMaximum = g.aliases
		answer.Mark(packet.PropTopicAliasMaximum)
	}
	if g.qos < 2 { // [MQTT-3.2.2-9]
		answer.MaximumQoS = g.qos
		answer.Mark(packet.PropMaximumQoS)
	}
	for _, off := range []struct {
		is bool
		p  packet.Property // whose value 0 says: not available
	}{
		{!g.retain, packet.PropRetainAvailable}, {g.NoWildcards, packet.PropWildcardAvailable},
		{g.NoShared, packet.PropSharedAvailable}, {g.NoSubscriptionIDs, packet.PropSubscriptionIDsAllowed},
	} {
		if off.is {
			answer.Mark(off.p)
		}
	}
}

// mayPublish refuses a PUBLISH or a will that the listener does not grant. published tells which.
func (g *grants) mayPublish(v packet.Version, qos byte, retain, published bool) error {
	qosRule, retainRule := "MQTT-3.2.2-12", "MQTT-3.2.2-13" // in CONNECT
	if published {
		qosRule, retainRule = "MQTT-3.2.2-11", "MQTT-3.2.2-14"
	}
	switch {
	case qos > g.qos: // [MQTT-3.2.2-11] [MQTT-3.2.2-12]
		return &packet.Error{Reason: packet.QoSNotSupported, Rule: qosRule, Detail: fmt.Sprintf("QoS %d, granted is %d", qos, g.qos)}
	case retain && !g.retain && v == packet.V5: // [MQTT-3.2.2-13] [MQTT-3.2.2-14]
		return &packet.Error{Reason: packet.RetainNotSupported, Rule: retainRule, Detail: "RETAIN, but retained messages are off"}
	}
	return nil
}

// maySubscribe tells which of the things that are switched off a filter needs; Success = none.
func (g *grants) maySubscribe(filter string, hasID bool) (reason packet.ReasonCode, detail string) {
	group, plain := topic.Split(filter)
	switch {
	case g.NoShared && group != "":
		return packet.SharedNotSupported, "shared subscriptions are off"
	case g.NoWildcards && hasWildcard(plain):
		return packet.WildcardNotSupported, "filters with wildcards are off"
	case g.NoSubscriptionIDs && hasID:
		return packet.SubscriptionIDsNotSupported, "subscription identifiers are off"
	}
	return packet.Success, ""
}

func hasWildcard(filter string) bool {
	for i := range len(filter) {
		if filter[i] == '+' || filter[i] == '#' {
			return true
		}
	}
	return false
}
