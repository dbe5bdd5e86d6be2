package packet

import (
	"math/bits"

	"pgregory.net/rapid"
)

// Generators of packets that are valid in version v.

var versions = []Version{V31, V311, V5}

func text(t *rapid.T, min, max int) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("azAZ09 /+#$äß字😀\uFEFF")), min, max, -1).Draw(t, "text")
}

func name(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("az09/$ é字")), 1, 20, -1).Draw(t, "name")
}

func blob(t *rapid.T) []byte { return rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "blob") }

func packetID(t *rapid.T) uint16 { return rapid.Uint16Range(1, 65535).Draw(t, "packet id") }

// props draws some of the allowed properties, with the required ones.
func props(t *rapid.T, v Version, allowed, required uint64) *Properties {
	set := rapid.Uint64().Draw(t, "set")&allowed&^ManySubscriptionIDs | required
	if set&(1<<PropAuthData) != 0 {
		set |= 1 << PropAuthMethod
	}
	if v != V5 || set == 0 {
		return nil
	}
	p := &Properties{Set: set}
	for ; set != 0; set &= set - 1 {
		drawProperty(t, p, Property(bits.TrailingZeros64(set)), allowed)
	}
	return p
}

func drawProperty(t *rapid.T, p *Properties, id Property, allowed uint64) {
	switch f := p.field(id).(type) {
	case *byte:
		*f = rapid.ByteMax(1).Draw(t, id.String())
	case *uint16:
		*f = rapid.Uint16Range(1, 65535).Draw(t, id.String())
	case *uint32:
		*f = rapid.Uint32Range(1, 1<<32-1).Draw(t, id.String())
	case *string:
		*f = text(t, 0, 20)
		if id == PropResponseTopic {
			*f = name(t)
		}
	case *[]byte:
		*f = blob(t)
	case *[]uint32:
		n := 1
		if allowed&ManySubscriptionIDs != 0 {
			n = 3
		}
		*f = rapid.SliceOfN(rapid.Uint32Range(1, MaxRemaining), 1, n).Draw(t, id.String())
	case *[]UserProperty:
		for range rapid.IntRange(1, 4).Draw(t, "user properties") {
			*f = append(*f, UserProperty{text(t, 0, 9), text(t, 0, 9)})
		}
	}
}

func reason(t *rapid.T, valid func(ReasonCode) bool) ReasonCode {
	var all []ReasonCode
	for c := range 256 {
		if valid(ReasonCode(c)) {
			all = append(all, ReasonCode(c))
		}
	}
	return rapid.SampledFrom(all).Draw(t, "reason")
}

func boolean(t *rapid.T, label string) bool { return rapid.Bool().Draw(t, label) }

func drawPacket(t *rapid.T, kind Type, v Version) Packet {
	switch kind {
	case CONNECT:
		return drawConnect(t, v)
	case CONNACK:
		return drawConnack(t, v)
	case PUBLISH:
		return drawPublish(t, v)
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		return drawAck(t, kind, v)
	case SUBSCRIBE:
		return drawSubscribe(t, v)
	case SUBACK:
		return &Suback{PacketID: packetID(t), Props: props(t, v, AllowedAck, 0),
			Reasons: reasons(t, func(c ReasonCode) bool { return subackReason(c, v) })}
	case UNSUBSCRIBE:
		return drawUnsubscribe(t, v)
	case UNSUBACK:
		u := &Unsuback{PacketID: packetID(t), Props: props(t, v, AllowedAck, 0)}
		if v == V5 {
			u.Reasons = reasons(t, unsubackReason)
		}
		return u
	case DISCONNECT:
		if v != V5 {
			return &Disconnect{}
		}
		return &Disconnect{Reason: reason(t, disconnectReason), Props: props(t, v, AllowedDisconnect, 0)}
	case AUTH:
		return drawAuth(t)
	}
	return New(kind)
}

func drawConnect(t *rapid.T, v Version) *Connect {
	c := &Connect{Version: v, CleanStart: boolean(t, "clean"), KeepAlive: rapid.Uint16().Draw(t, "keep alive"),
		ClientID: text(t, 1, 23), HasUser: boolean(t, "user"), Props: props(t, v, AllowedConnect, 0)}
	if c.HasUser {
		c.Username = text(t, 0, 20)
	}
	if (c.HasUser || v == V5) && boolean(t, "password") {
		c.HasPass, c.Password = true, blob(t)
	}
	if boolean(t, "will") {
		c.Will = &Will{Topic: name(t), Payload: blob(t), QoS: rapid.ByteMax(2).Draw(t, "will QoS"),
			Retain: boolean(t, "will retain"), Props: props(t, v, AllowedWill, 0)}
	}
	return c
}

func drawConnack(t *rapid.T, v Version) *Connack {
	c := &Connack{Reason: reason(t, connackReason), Props: props(t, v, AllowedConnack, 0)}
	if v != V5 {
		c.Reason, _ = reasonOf(rapid.ByteMax(5).Draw(t, "return code"))
	}
	c.SessionPresent = c.Reason == Success && v != V31 && boolean(t, "session present")
	return c
}

func drawPublish(t *rapid.T, v Version) *Publish {
	p := &Publish{QoS: rapid.ByteMax(2).Draw(t, "QoS"), Retain: boolean(t, "retain"), Topic: []byte(name(t)), Payload: blob(t)}
	p.Props = props(t, v, AllowedPublish, 0)
	if p.Props.Has(PropTopicAlias) && boolean(t, "no topic") {
		p.Topic = nil
	}
	if p.QoS > 0 {
		p.PacketID, p.Dup = packetID(t), boolean(t, "dup")
	}
	return p
}

func drawAck(t *rapid.T, kind Type, v Version) *Ack {
	a := &Ack{Kind: kind, PacketID: packetID(t), Props: props(t, v, AllowedAck, 0)}
	if v == V5 {
		a.Reason = reason(t, func(c ReasonCode) bool { return ackReason(kind, c) })
	}
	return a
}

func drawSubscribe(t *rapid.T, v Version) *Subscribe {
	s := &Subscribe{PacketID: packetID(t), Props: props(t, v, AllowedSubscribe, 0)}
	for range rapid.IntRange(1, 5).Draw(t, "filters") {
		f := SubscribeFilter{Filter: text(t, 1, 20), QoS: rapid.ByteMax(2).Draw(t, "QoS")}
		if v == V5 {
			f.NoLocal, f.RetainAsPublished = boolean(t, "no local"), boolean(t, "retain as published")
			f.RetainHandling = rapid.ByteMax(2).Draw(t, "retain handling")
		}
		s.Filters = append(s.Filters, f)
	}
	return s
}

func drawUnsubscribe(t *rapid.T, v Version) *Unsubscribe {
	u := &Unsubscribe{PacketID: packetID(t), Props: props(t, v, AllowedUnsubscribe, 0)}
	for range rapid.IntRange(1, 5).Draw(t, "filters") {
		u.Filters = append(u.Filters, text(t, 1, 20))
	}
	return u
}

func drawAuth(t *rapid.T) *Auth {
	if boolean(t, "short") {
		return &Auth{}
	}
	return &Auth{Reason: rapid.SampledFrom([]ReasonCode{Success, ContinueAuthentication, ReAuthenticate}).Draw(t, "reason"),
		Props: props(t, V5, AllowedAuth, 1<<PropAuthMethod)}
}

func reasons(t *rapid.T, valid func(ReasonCode) bool) (all []ReasonCode) {
	for range rapid.IntRange(1, 5).Draw(t, "reasons") {
		all = append(all, reason(t, valid))
	}
	return all
}
