package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/log"
	paho "github.com/eclipse/paho.golang/paho/session"
)

// session is what paho asks for packet identifiers (its SessionManager): those under way on this connection. paho's own would keep
// every message a second time, start a goroutine for each, and not tell the reason code of a PUBACK.
//
// Nothing is sent again from here: the next connection has a session of its own, and the queue behind it sends
// its messages as new ones. A broker keeps nothing of an unfinished QoS 1 PUBLISH, so it cannot mistake them.
type session struct {
	onAck func(token uint64, reason byte)
	fail  func(error) // ends the connection

	mu      sync.Mutex
	out     io.Writer // nil = not connected
	last    uint16
	token   uint64 // of the next PUBLISH
	flights map[uint16]flight
	err     error // what the broker's DISCONNECT said
	reason  byte  // its reason code
}

// flight is one packet that waits for its answer.
type flight struct {
	publish bool
	token   uint64                       // of a PUBLISH
	answer  chan<- packets.ControlPacket // of SUBSCRIBE and UNSUBSCRIBE; cap 1
}

func newSession(onAck func(uint64, byte)) *session {
	return &session{onAck: onAck, flights: map[uint16]flight{}}
}

// ConAckReceived implements paho's SessionManager.
func (s *session) ConAckReceived(w io.Writer, _ *packets.Connect, _ *packets.Connack) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = w
	return nil
}

// ConnectionLost implements paho's SessionManager. Who waits for SUBACK is told by an empty packet.
func (s *session) ConnectionLost(d *packets.Disconnect) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d != nil && s.err == nil {
		s.reason = d.ReasonCode
		s.err = fmt.Errorf("broker sent DISCONNECT with reason code 0x%02X", d.ReasonCode)
		if d.ReasonCode == packets.DisconnectSessionTakenOver {
			s.err = fmt.Errorf("%w: the session was taken over: another node may run under this node's name", s.err)
		}
		if d.Properties != nil && d.Properties.ReasonString != "" {
			s.err = fmt.Errorf("%w: %s", s.err, d.Properties.ReasonString)
		}
	}
	s.out = nil
	for id, f := range s.flights {
		delete(s.flights, id)
		if !f.publish {
			f.answer <- packets.ControlPacket{}
		}
	}
	return nil
}

func (s *session) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// disconnected is the reason code of the broker's DISCONNECT.
func (s *session) disconnected() (reason byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reason, s.err != nil
}

// nextToken says what the next PUBLISH is called in onAck.
func (s *session) nextToken(token uint64) {
	s.mu.Lock()
	s.token = token
	s.mu.Unlock()
}

// AddToSession implements paho's SessionManager: it gives p an identifier that nothing else has [MQTT-2.2.1-3]. The window is
// kept by who publishes.
func (s *session) AddToSession(_ context.Context, p paho.Packet, answer chan<- packets.ControlPacket) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out == nil {
		return paho.ErrNoConnection
	}
	if len(s.flights) >= maxWindow {
		return paho.ErrPacketIdentifiersExhausted
	}
	for {
		if s.last++; s.last == 0 {
			continue
		}
		if _, used := s.flights[s.last]; !used {
			break
		}
	}
	f := flight{answer: answer}
	if p.Type() == packets.PUBLISH {
		f = flight{publish: true, token: s.token}
	}
	s.flights[s.last] = f
	p.SetIdentifier(s.last)
	return nil
}

// PacketReceived implements paho's SessionManager.
func (s *session) PacketReceived(p *packets.ControlPacket, deliver chan<- *packets.Publish) error {
	switch c := p.Content.(type) {
	case *packets.Publish:
		if c.QoS != 1 || c.PacketID == 0 { // no QoS 2 was asked for [MQTT-3.8.4-8]
			s.fail(fmt.Errorf("broker sent PUBLISH with QoS %d and packet identifier %d", c.QoS, c.PacketID))
			return nil
		}
		deliver <- c
	case *packets.Puback:
		s.answered(c.PacketID, p, c.ReasonCode)
	case *packets.Suback:
		s.answered(c.PacketID, p, 0)
	case *packets.Unsuback:
		s.answered(c.PacketID, p, 0)
	default:
		s.fail(fmt.Errorf("broker sent %s, which nothing here asked for", p.PacketType()))
	}
	return nil
}

// answered ends a flight.
func (s *session) answered(id uint16, p *packets.ControlPacket, reason byte) {
	s.mu.Lock()
	f, known := s.flights[id]
	if matches := known && f.publish == (p.Type == packets.PUBACK); !matches {
		s.mu.Unlock()
		s.fail(fmt.Errorf("broker sent %s for packet identifier %d, which is not under way", p.PacketType(), id))
		return
	}
	delete(s.flights, id)
	s.mu.Unlock()
	if f.publish {
		s.onAck(f.token, reason)
		return
	}
	f.answer <- *p
}

// Ack implements paho's SessionManager. paho calls it when OnMessage has returned; the acknowledgement
// leaves when the message is kept, by acknowledge.
func (s *session) Ack(*packets.Publish) error { return nil }

var errNotConnected = errors.New("not connected")

// acknowledge writes PUBACK.
func (s *session) acknowledge(id uint16) error {
	s.mu.Lock()
	out := s.out
	s.mu.Unlock()
	if out == nil {
		return errNotConnected
	}
	ack := packets.Puback{PacketID: id, Properties: &packets.Properties{}}
	_, err := ack.WriteTo(out)
	return err
}

// Close implements paho's SessionManager.
func (s *session) Close() error { return s.ConnectionLost(nil) }

// SetErrorLogger implements paho's SessionManager; nothing is logged.
func (s *session) SetErrorLogger(log.Logger) {}

// SetDebugLogger implements paho's SessionManager; nothing is logged.
func (s *session) SetDebugLogger(log.Logger) {}
