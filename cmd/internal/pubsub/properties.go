package pubsub

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mangrove/mqtt/packet"
)

// property is one MQTT 5.0 property as -D names it, which is how mosquitto_pub names it.
type property struct {
	name    string
	packets string // those that may carry it and whose properties can be given
	id      packet.Property
	set     func(p *packet.Properties, value string) error
}

const (
	messagePackets = "publish will"
	everyPacket    = "connect publish will subscribe"
)

var properties = []property{
	{"payload-format-indicator", messagePackets, packet.PropPayloadFormat, number(8, func(p *packet.Properties, n uint64) { p.PayloadFormat = byte(n) })},
	{"message-expiry-interval", messagePackets, packet.PropMessageExpiry, number(32, func(p *packet.Properties, n uint64) { p.MessageExpiry = uint32(n) })},
	{"content-type", messagePackets, packet.PropContentType, text(func(p *packet.Properties, s string) { p.ContentType = s })},
	{"response-topic", messagePackets, packet.PropResponseTopic, text(func(p *packet.Properties, s string) { p.ResponseTopic = s })},
	{"correlation-data", messagePackets, packet.PropCorrelationData, text(func(p *packet.Properties, s string) { p.CorrelationData = []byte(s) })},
	{"will-delay-interval", "will", packet.PropWillDelay, number(32, func(p *packet.Properties, n uint64) { p.WillDelay = uint32(n) })},
	{"session-expiry-interval", "connect", packet.PropSessionExpiry, number(32, func(p *packet.Properties, n uint64) { p.SessionExpiry = uint32(n) })},
	{"receive-maximum", "connect", packet.PropReceiveMaximum, number(16, func(p *packet.Properties, n uint64) { p.ReceiveMaximum = uint16(n) })},
	{"maximum-packet-size", "connect", packet.PropMaximumPacketSize, number(32, func(p *packet.Properties, n uint64) { p.MaximumPacketSize = uint32(n) })},
	{"subscription-identifier", "subscribe", packet.PropSubscriptionID, number(28, func(p *packet.Properties, n uint64) { p.SubscriptionIDs = []uint32{uint32(n)} })},
}

func number(bits int, set func(*packet.Properties, uint64)) func(*packet.Properties, string) error {
	return func(p *packet.Properties, value string) error {
		n, err := strconv.ParseUint(value, 10, bits)
		if err != nil {
			return fmt.Errorf("%q is not a number from 0 to %d", value, uint64(1)<<bits-1)
		}
		set(p, n)
		return nil
	}
}

func text(set func(*packet.Properties, string)) func(*packet.Properties, string) error {
	return func(p *packet.Properties, value string) error {
		set(p, value)
		return nil
	}
}

// Properties are what -D gave, by packet: "connect", "publish", "will", "subscribe". Packets without any
// have no entry.
type Properties map[string]*packet.Properties

// set reads one -D: packet, name, value; user-property has a name and a value of its own.
func (all Properties) set(words []string) error {
	if len(words) < 3 {
		return errors.New("-D takes a packet, a property and its value, as: -D publish content-type text/plain")
	}
	on, name := words[0], words[1]
	if !slices.Contains(strings.Fields(everyPacket), on) {
		return fmt.Errorf("-D %s: the packet is one of %s", on, strings.ReplaceAll(everyPacket, " ", ", "))
	}
	if all[on] == nil {
		all[on] = &packet.Properties{}
	}
	if name == "user-property" {
		if len(words) != 4 {
			return fmt.Errorf("-D %s user-property takes a name and a value", on)
		}
		all[on].Mark(packet.PropUser).User = append(all[on].User, packet.UserProperty{Name: words[2], Value: words[3]})
		return nil
	}
	for _, p := range properties {
		if p.name == name && slices.Contains(strings.Fields(p.packets), on) {
			if err := p.set(all[on].Mark(p.id), words[2]); err != nil {
				return fmt.Errorf("-D %s %s: %w", on, name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("-D %s %s: there is %s", on, name, strings.Join(namesFor(on), ", "))
}

// namesFor lists the properties that -D knows for a packet.
func namesFor(on string) []string {
	names := []string{"user-property"}
	for _, p := range properties {
		if slices.Contains(strings.Fields(p.packets), on) {
			names = append(names, p.name)
		}
	}
	return names
}

// propertySeparator joins the words of one -D into one flag value. No argument can hold it.
const propertySeparator = "\x00"

// JoinProperties rewrites `-D packet name value [value]`, which takes several arguments as mosquitto_pub has it,
// into flags with one value each. Other arguments stay as they are; what follows "--" too.
func JoinProperties(args []string) (joined []string) {
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(joined, args[i:]...)
		}
		if args[i] != "-D" && args[i] != "--property" {
			joined = append(joined, args[i])
			continue
		}
		n := 3
		if i+2 < len(args) && args[i+2] == "user-property" {
			n = 4
		}
		end := min(i+1+n, len(args))
		joined = append(joined, "--property="+strings.Join(args[i+1:end], propertySeparator))
		i = end - 1
	}
	return joined
}
