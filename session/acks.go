package session

import (
	"fmt"

	"mangrove/mqtt/packet"
)

// find returns the index of the entry that was sent as packet id, or -1.
func (o *outbound) find(id uint16) int {
	if o.win.len() == 0 || id == 0 {
		return -1
	}
	first := o.win.at(0).seq
	seq := first + (uint64(id)-1+maxIDs-first%maxIDs)%maxIDs
	i := o.win.find(seq)
	if i >= 0 && (seq >= o.sent || o.win.at(i).qos == 0) {
		return -1
	}
	return i
}

// acked handles PUBACK, PUBREC and PUBCOMP. known is false when no message is in flight under id. An
// error is the client's.
func (o *outbound) acked(kind packet.Type, id uint16, reason packet.ReasonCode, w world) (known bool, err error) {
	i := o.find(id)
	switch {
	case i < 0 && kind == packet.PUBREC:
		o.unknownRec(id, w)
		return false, nil
	case i < 0:
		return false, nil
	case (kind == packet.PUBACK) != (o.win.at(i).qos == 1):
		return true, wrongAck(kind, id)
	}
	switch kind {
	case packet.PUBACK: // with an error as well [MQTT-4.3.2-3] [MQTT-4.4.0-2] [MQTT311-4.3.2-1]
		o.settle(i, delivered, w)
	case packet.PUBREC:
		o.pubrec(i, reason, w)
	case packet.PUBCOMP:
		o.pubcomp(i, w)
	}
	o.pump(w)
	return true, nil
}

func wrongAck(kind packet.Type, id uint16) error {
	return &packet.Error{Reason: packet.ProtocolError,
		Detail: fmt.Sprintf("packet type %d for packet id %d, which has another QoS", kind, id)}
}

// unknownRec answers a PUBREC that nothing is known of, unless it may belong to a message which was
// sent before a restart and is still to be read from disk: it is sent again, and the client will repeat its PUBREC.
func (o *outbound) unknownRec(id uint16, w world) {
	if o.running && (o.tail == 0 || o.end >= o.sent) {
		w.ack(packet.PUBREL, id, packet.PacketIDNotFound)
	}
}

// pubrec: the client has the message. PUBREL leaves once that is stable, so that the message is never
// sent again after it. PUBRELs leave in the order of the PUBRECs. [MQTT-4.3.3-3] [MQTT-4.3.3-4] [MQTT-4.3.3-6]
// [MQTT-4.6.0-4] [MQTT311-4.3.3-1] [MQTT311-4.6.0-4]
func (o *outbound) pubrec(i int, reason packet.ReasonCode, w world) {
	e := o.win.at(i)
	switch {
	case reason >= 0x80 && e.state < releasing: // [MQTT-4.4.0-2]
		o.settle(i, delivered, w)
	case e.state == released && o.running:
		w.ack(packet.PUBREL, packetID(e.seq), packet.Success)
	case e.state == releasing || e.state == released:
	default:
		o.forget(e)
		e.state = releasing
		if w.release(e) {
			o.released(e.seq, true, w)
		}
	}
}

// released tells that the PUBREC of seq is stable, or that it could not be kept: then the message is sent again
// on the next connection. [MQTT-4.3.3-5]
func (o *outbound) released(seq uint64, ok bool, w world) {
	i := o.win.find(seq)
	if i < 0 || o.win.at(i).state != releasing {
		return
	}
	if !ok {
		o.win.at(i).state = sent
		return
	}
	e := o.win.at(i)
	e.state, e.body = released, 0
	if i < o.live && o.running {
		w.ack(packet.PUBREL, packetID(seq), packet.Success)
	}
}

func (o *outbound) pubcomp(i int, w world) {
	if o.win.at(i).state == released {
		o.settle(i, delivered, w)
	}
}
