package session

import (
	"errors"
	"fmt"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Acked handles PUBACK, PUBREC, PUBREL and PUBCOMP from the client.
func (s *Session) Acked(kind packet.Type, id uint16, reason packet.ReasonCode) error {
	s.lock()
	defer s.unlock()
	switch {
	case s.ended || s.outletLocked() == nil:
		return nil
	case kind == packet.PUBREL:
		return s.pubrelLocked(id)
	}
	known, err := s.traffic.out.acked(kind, id, reason, locked{s})
	if !known {
		s.m.log.Debug("acknowledgement of an unknown packet id", "client", s.clientID, "type", byte(kind), "id", id)
	}
	return err
}

func (s *Session) releasedLocked(seq uint64, err error) {
	s.traffic.writing--
	s.traffic.out.released(seq, err == nil, locked{s})
	if err != nil {
		s.failLocked("keep PUBREC", err)
	}
}

// Take notes that a QoS 2 PUBLISH came in, in r's batch. [MQTT-4.3.3-10]
func (s *Session) Take(id uint16, r *mqtt.Receipt) (repeat bool) {
	s.lock()
	defer s.unlock()
	if s.ended {
		return false
	}
	t := s.wakeLocked()
	first, wait := t.in.take(id, r)
	if wait {
		r.Hold()
	}
	if !first {
		return true
	}
	r.OnSettle(s, uint64(id))
	if s.durable() {
		r.Batch().Put(batch.Received, receivedKey(s.number, id), []byte{recordVersion, 0})
		t.writing++
	}
	return false
}

// Settle implements mqtt.Settler: the publish that Take noted has come to its end. After an error the
// client may use the id for another message as soon as it hears of it, so it is forgotten first, on disk too.
func (s *Session) Settle(r *mqtt.Receipt, arg uint64, err error) {
	id := uint16(arg)
	s.lock()
	waiting := s.traffic.in.settle(id, err == nil)
	wait := s.durable() && err != nil && !s.ended
	if s.durable() {
		s.traffic.writing--
		if wait {
			b := s.batchLocked()
			b.Delete(batch.Received, receivedKey(s.number, id))
			b.Notify(&forgotten{r, waiting, err}, 0)
		}
		s.leftoversLocked()
	}
	s.unlock()
	if !wait {
		finish(r, waiting, err)
	}
}

// finish ends r and those that waited for it.
func finish(r *mqtt.Receipt, waiting []*mqtt.Receipt, err error) {
	for _, w := range waiting {
		w.Release(err)
	}
	r.Finish(err)
}

// forgotten ends a receipt, and those that waited for it, when it is stable that an identifier is forgotten.
type forgotten struct {
	r       *mqtt.Receipt
	waiting []*mqtt.Receipt
	err     error
}

// Committed implements batch.Waiter.
func (f *forgotten) Committed(_ uint64, err error) {
	why := f.err
	if err != nil {
		why = errors.Join(f.err, err)
	}
	finish(f.r, f.waiting, why)
}

// pubrelLocked ends an inbound QoS 2 exchange. PUBCOMP leaves when it is stable that the id is forgotten; else
// a message that the client sends under it next could be taken for a repeat. [MQTT-4.3.3-11] [MQTT-4.3.3-12]
// [MQTT311-4.3.3-2]
func (s *Session) pubrelLocked(id uint16) error {
	switch s.traffic.in.pubrel(id) {
	case 0:
		s.traffic.outlet.Ack(packet.PUBCOMP, id, packet.PacketIDNotFound)
	case taking:
		return &packet.Error{Reason: packet.ProtocolError,
			Detail: fmt.Sprintf("PUBREL for packet id %d before PUBREC", id)}
	case taken:
		s.forgetLocked(id)
	} // else PUBCOMP is on its way
	return nil
}

// forgetLocked has an inbound id forgotten, and PUBCOMP leave then.
func (s *Session) forgetLocked(id uint16) {
	if !s.durable() {
		s.completedLocked(id, nil)
		return
	}
	b := s.batchLocked()
	b.Delete(batch.Received, receivedKey(s.number, id))
	b.Notify(s, kindComplete|uint64(id))
}

func (s *Session) completedLocked(id uint16, err error) {
	answer := s.traffic.in.completed(id, err == nil)
	switch {
	case err != nil:
		s.failLocked("forget a QoS 2 packet id", err)
	case answer:
		s.traffic.outlet.Ack(packet.PUBCOMP, id, packet.Success)
	}
}
