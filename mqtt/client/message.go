package client

import (
	"bytes"

	"mangrove/mqtt/packet"
)

// Message is one application message, out or in.
//
// What is handed to Publish must not be changed until it was acknowledged. What OnMessage gets
// is the receiver's own.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool

	// Props are the properties of PUBLISH: 5.0 only, nil = none.
	Props *packet.Properties

	Dup      bool   // in: the server says it may have been sent before
	PacketID uint16 // in: 0 at QoS 0
}

// received copies what came in out of the read buffer.
func received(p *packet.Publish) *Message {
	if p.Props.Has(packet.PropCorrelationData) {
		p.Props.CorrelationData = bytes.Clone(p.Props.CorrelationData)
	}
	return &Message{Topic: string(p.Topic), Payload: bytes.Clone(p.Payload), QoS: p.QoS, Retain: p.Retain,
		Props: p.Props, Dup: p.Dup, PacketID: p.PacketID}
}
