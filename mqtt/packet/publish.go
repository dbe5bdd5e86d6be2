package packet

// Publish carries an application message. Topic and Payload alias the buffer given to Decode.
//
//	topic name │ [packet identifier, QoS > 0] │ [properties] │ payload
type Publish struct {
	Dup      bool
	QoS      byte
	Retain   bool
	Topic    []byte // empty only in 5.0 with a topic alias
	PacketID uint16 // 0 at QoS 0
	Props    *Properties
	Payload  []byte
}

// Flags of PUBLISH.
const (
	publishRetain = 0x01
	publishQoS    = 0x06
	publishDup    = 0x08
)

func (*Publish) Type() Type { return PUBLISH }

// Decode is Packet's. Without properties it does not allocate.
func (p *Publish) Decode(flags byte, body []byte, v Version) error {
	*p = Publish{
		Dup:    flags&publishDup != 0,
		QoS:    flags & publishQoS >> 1,
		Retain: flags&publishRetain != 0,
	}
	r := reader{b: body}
	p.checkFlags(&r, v)
	p.Topic = r.topic("topic name", "MQTT-3.3.2-2") // [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT311-3.3.2-1] [MQTT311-3.3.2-2]
	if p.QoS > 0 {                                  // [MQTT-2.2.1-2] [MQTT311-2.3.1-5]
		p.PacketID = r.packetID()
	}
	if v == V5 {
		p.Props = r.properties(AllowedPublish)
	}
	if len(p.Topic) == 0 && r.err == nil {
		p.checkNoTopic(&r, v)
	}
	p.Payload = r.b
	if r.err != nil {
		return r.err
	}
	return nil
}

func (p *Publish) checkFlags(r *reader, v Version) {
	switch {
	case p.QoS > 2: // [MQTT-3.3.1-4] [MQTT311-3.3.1-4]
		r.malformed("MQTT-3.3.1-4", "QoS is 3")
	case p.QoS == 0 && p.Dup && v != V31: // [MQTT-3.3.1-2] [MQTT311-3.3.1-2]
		r.malformed("MQTT-3.3.1-2", "DUP at QoS 0")
	}
}

func (p *Publish) checkNoTopic(r *reader, v Version) {
	switch {
	case v != V5: // [MQTT311-4.7.3-1]
		r.malformed("MQTT311-4.7.3-1", "topic name is empty")
	case !p.Props.Has(PropTopicAlias): // section 3.3.2.1
		r.protocol("", "topic name is empty and there is no topic alias")
	}
}

// Append is Packet's.
func (p *Publish) Append(dst []byte, v Version) []byte {
	dst, at := begin(dst, PUBLISH, p.flags())
	dst = appendText(dst, p.Topic)
	if p.QoS > 0 {
		dst = appendUint16(dst, p.PacketID)
	}
	if v == V5 {
		dst = p.Props.Append(dst)
	}
	dst = finish(dst, at, len(p.Payload)) // before the payload, which then need not move
	return append(dst, p.Payload...)
}

func (p *Publish) flags() byte {
	flags := p.QoS << 1
	if p.Retain {
		flags |= publishRetain
	}
	if p.Dup {
		flags |= publishDup
	}
	return flags
}
