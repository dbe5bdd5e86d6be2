package packet

import (
	"fmt"
	"math/bits"
	"strings"
	"testing"
)

// table24 is MQTT 5.0, table 2-4: each property and the packets that may carry it, "Will" for the
// will's.
var table24 = map[Property]string{
	PropPayloadFormat:          "PUBLISH Will",
	PropMessageExpiry:          "PUBLISH Will",
	PropContentType:            "PUBLISH Will",
	PropResponseTopic:          "PUBLISH Will",
	PropCorrelationData:        "PUBLISH Will",
	PropSubscriptionID:         "PUBLISH SUBSCRIBE",
	PropSessionExpiry:          "CONNECT CONNACK DISCONNECT",
	PropAssignedClientID:       "CONNACK",
	PropServerKeepAlive:        "CONNACK",
	PropAuthMethod:             "CONNECT CONNACK AUTH",
	PropAuthData:               "CONNECT CONNACK AUTH",
	PropRequestProblemInfo:     "CONNECT",
	PropWillDelay:              "Will",
	PropRequestResponseInfo:    "CONNECT",
	PropResponseInfo:           "CONNACK",
	PropServerReference:        "CONNACK DISCONNECT",
	PropReasonString:           "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH",
	PropReceiveMaximum:         "CONNECT CONNACK",
	PropTopicAliasMaximum:      "CONNECT CONNACK",
	PropTopicAlias:             "PUBLISH",
	PropMaximumQoS:             "CONNACK",
	PropRetainAvailable:        "CONNACK",
	PropUser:                   "CONNECT CONNACK PUBLISH Will PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH",
	PropMaximumPacketSize:      "CONNECT CONNACK",
	PropWildcardAvailable:      "CONNACK",
	PropSubscriptionIDsAllowed: "CONNACK",
	PropSharedAvailable:        "CONNACK",
}

var allowedIn = map[string]uint64{
	"CONNECT": AllowedConnect, "Will": AllowedWill, "CONNACK": AllowedConnack, "PUBLISH": AllowedPublish,
	"PUBACK": AllowedAck, "PUBREC": AllowedAck, "PUBREL": AllowedAck, "PUBCOMP": AllowedAck,
	"SUBSCRIBE": AllowedSubscribe, "SUBACK": AllowedAck, "UNSUBSCRIBE": AllowedUnsubscribe, "UNSUBACK": AllowedAck,
	"DISCONNECT": AllowedDisconnect, "AUTH": AllowedAuth,
}

func TestAllowedProperties(t *testing.T) {
	got := map[Property]map[string]bool{}
	for packet, set := range allowedIn {
		for set &^= ManySubscriptionIDs; set != 0; set &= set - 1 {
			id := Property(bits.TrailingZeros64(set))
			if got[id] == nil {
				got[id] = map[string]bool{}
			}
			got[id][packet] = true
		}
	}
	for id, packets := range table24 {
		want := map[string]bool{}
		for _, p := range strings.Fields(packets) {
			want[p] = true
		}
		if fmt.Sprint(got[id]) != fmt.Sprint(want) {
			t.Errorf("%v: got %v, want %v", id, got[id], want)
		}
	}
	if len(got) != len(table24) {
		t.Errorf("got %d properties, want %d", len(got), len(table24))
	}
}

// example is the shortest valid form of a property, identifier included.
func example(id Property) raw {
	switch new(Properties).field(id).(type) {
	case *byte:
		return raw([]byte{byte(id), 1})
	case *uint16:
		return raw([]byte{byte(id), 0, 1})
	case *uint32:
		return raw([]byte{byte(id), 0, 0, 0, 1})
	case *[]uint32:
		return raw([]byte{byte(id), 1})
	case *[]UserProperty:
		return raw([]byte{byte(id), 0, 0, 0, 0})
	}
	return raw([]byte{byte(id), 0, 1, 'x'})
}

// Every property is refused where it comes twice, is cut off, or is not allowed.
func TestEachProperty(t *testing.T) {
	for id := range table24 {
		one := example(id)
		if p, rest, err := DecodeProperties([]byte(section(one, one[:0])), 1<<id|1<<PropAuthMethod); err != nil && id != PropAuthData || len(rest) != 0 {
			t.Errorf("%v: got %+v, error %v", id, p, err)
		}
		_, _, err := DecodeProperties([]byte(section(one, one)), 1<<id)
		if twice := id == PropUser; twice != (err == nil) {
			t.Errorf("%v twice: got error %v", id, err)
		}
		if _, _, err := DecodeProperties([]byte(section(one)), ^(uint64(1) << id)); err == nil {
			t.Errorf("%v where it is not allowed: got no error", id)
		}
		for cut := 1; cut < len(one); cut++ {
			if _, _, err := DecodeProperties([]byte(section(one[:cut])), 1<<id); err == nil {
				t.Errorf("%v cut to %d bytes: got no error", id, cut)
			}
		}
	}
}

// propertyRefusals are about the property section as such.
func propertyRefusals() []refusal {
	publish := func(parts ...any) []byte { return frame(0x30, append([]any{"a"}, parts...)...) }
	return []refusal{
		{"section 2.2.2.2", "unknown property", V5, publish(section(0x7F, 0)), MalformedPacket},
		{"section 2.2.2.2", "property 0", V5, publish(section(0)), MalformedPacket},
		{"section 2.2.2.2", "great property", V5, publish(section(raw("\xFF\xFF\xFF\x7F"))), MalformedPacket},
		{"section 2.2.2.2", "property of another packet", V5, publish(section(PropReceiveMaximum, u16(1))), MalformedPacket},
		{"section 2.2.2.2", "property twice", V5, publish(section(PropPayloadFormat, 1, PropPayloadFormat, 1)), ProtocolError},
		{"section 2.2.2.1", "longer than the packet", V5, publish(9, PropPayloadFormat, 1), MalformedPacket},
		{"section 2.2.2.1", "much longer than the packet", V5, publish(raw("\xFF\xFF\xFF\x7F"), 1), MalformedPacket},
		{"[MQTT-1.5.5-1]", "length in too many bytes", V5, publish(raw("\x82\x00"), PropPayloadFormat, 1), MalformedPacket},
		{"[MQTT-1.5.5-1]", "subscription identifier in too many bytes", V5, publish(section(PropSubscriptionID, raw("\x81\x00"))), MalformedPacket},
		{"section 1.5.5", "length of five bytes", V5, publish(raw("\x80\x80\x80\x80\x01")), MalformedPacket},
		{"section 1.5.5", "length cut off", V5, publish(raw("\x80")), MalformedPacket},
		{"[MQTT-1.5.7-1] [MQTT-1.5.4-1]", "user property name not UTF-8", V5, publish(section(PropUser, "\xFF", "v")), MalformedPacket},
		{"[MQTT-1.5.7-1] [MQTT-1.5.4-2]", "user property value with U+0000", V5, publish(section(PropUser, "k", "\x00")), MalformedPacket},
	}
}

func TestPropertySection(t *testing.T) { checkRefusals(t, propertyRefusals()) }

// An empty section is one byte 0 and reads as nil. [MQTT-2.2.2-1]
func TestNoProperties(t *testing.T) {
	for _, p := range []*Properties{nil, {}} {
		if got := p.Append(nil); string(got) != "\x00" {
			t.Errorf("got % x, want 00", got)
		}
	}
	p, rest, err := DecodeProperties([]byte{0, 7}, 0)
	if p != nil || string(rest) != "\x07" || err != nil {
		t.Errorf("got %v, rest % x, error %v; want nil, 07, nil", p, rest, err)
	}
}

func TestNamesOfTheStandard(t *testing.T) {
	for got, want := range map[string]string{
		UnsupportedProtocolVersion.String(): "Unsupported Protocol Version",
		ReasonCode(0xFE).String():           "reason code 0xfe",
		PUBREL.String():                     "PUBREL",
		Type(0).String():                    "type 0",
		PropResponseTopic.String():          "Response Topic",
		Property(99).String():               "property 99",
		(&Error{Reason: MalformedPacket, Rule: "MQTT-3.3.1-4", Detail: "QoS is 3"}).Error(): "Malformed Packet: QoS is 3 [MQTT-3.3.1-4]",
		(&Error{Reason: ProtocolError, Detail: "x"}).Error():                                "Protocol Error: x",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
