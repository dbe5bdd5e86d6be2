package wire

import (
	"bytes"
	"testing"

	"mangrove/internal/conformance/serve"
	"mangrove/mqtt"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/packet"
)

// quiz is an Authority with the method "QUIZ": it asks twice, and wants "yes" each time.
type quiz struct{ serve.Doors }

func (quiz) Begin(c *mqtt.Client, method string) (mqtt.Exchange, error) {
	if method != "QUIZ" {
		return nil, &packet.Error{Reason: packet.BadAuthenticationMethod, Detail: "only QUIZ"}
	}
	return &asking{c: c}, nil
}

type asking struct {
	c     *mqtt.Client
	steps int
}

func (a *asking) Step(data []byte) (answer []byte, done bool, err error) {
	if a.steps > 0 && !bytes.Equal(data, []byte("yes")) {
		return nil, false, &packet.Error{Reason: packet.NotAuthorized, Detail: "wrong answer"}
	}
	if a.steps++; a.steps == 3 {
		a.c.Username = "known"
		return []byte("thanks"), true, nil
	}
	return []byte("sure?"), false, nil
}

func withQuiz(c *broker.Config) { c.Authority = quiz{} }

func method(name string) how {
	return func(c *packet.Connect) {
		set(c, packet.PropAuthMethod, func(p *packet.Properties) { p.AuthMethod = name })
	}
}

// auth is an AUTH of QUIZ.
func auth(reason packet.ReasonCode, data string) *packet.Auth {
	props := (&packet.Properties{AuthMethod: "QUIZ"}).Mark(packet.PropAuthMethod)
	if data != "" {
		props.AuthData = []byte(data)
		props.Mark(packet.PropAuthData)
	}
	return &packet.Auth{Reason: reason, Props: props}
}

// authenticate goes through the quiz to CONNACK.
func (p *peer) authenticate() {
	p.t.Helper()
	p.Write(hello(packet.V5, "c", method("QUIZ")))
	for range 2 {
		p.Want("question", auth(packet.ContinueAuthentication, "sure?"))
		p.Write(auth(packet.ContinueAuthentication, "yes"))
	}
	got, ok := p.next().(*packet.Connack)
	if !ok || got.Reason != packet.Success || got.Props.AuthMethod != "QUIZ" || string(got.Props.AuthData) != "thanks" {
		p.t.Fatalf("got %+v, want CONNACK with method and data", got)
	}
}

// An exchange: AUTH 0x18 both ways until CONNACK, each with the method. It can be repeated on the live connection, with the
// same method. [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.1-1] [MQTT-3.15.2-1]
func TestAuthentication(t *testing.T) {
	scriptWith(t, withQuiz, func(s *server) {
		p := s.peer(packet.V5)
		p.authenticate()
		p.Write(auth(packet.ReAuthenticate, ""))
		p.Want("question", auth(packet.ContinueAuthentication, "sure?"))
		p.Write(pubQ(1, 1, "t", ""))
		p.Want("all goes on meanwhile", ack(packet.PUBACK, 1, packet.NoMatchingSubscribers))
		p.Write(auth(packet.ContinueAuthentication, "yes"))
		p.Want("question", auth(packet.ContinueAuthentication, "sure?"))
		p.Write(auth(packet.ContinueAuthentication, "yes"))
		p.Want("proved", auth(packet.Success, "thanks"))
		other := auth(packet.ReAuthenticate, "")
		other.Props.AuthMethod = "OTHER"
		p.Write(other)
		p.WantGone("another method", packet.ProtocolError)
	})
}

// Who does not prove it is refused. [MQTT-4.12.0-1] [MQTT-4.12.0-4] [MQTT-4.12.1-2] [MQTT-3.1.2-30] [MQTT-3.1.4-6]
func TestAuthenticationRefused(t *testing.T) {
	scriptWith(t, withQuiz, func(s *server) {
		p := s.peer(packet.V5)
		p.Write(hello(packet.V5, "c", method("OTHER")))
		p.Want("unknown method", &packet.Connack{Reason: packet.BadAuthenticationMethod})
		p.WantClosed("unknown method")
		for why, answer := range map[string]packet.Packet{"wrong answer": auth(packet.ContinueAuthentication, "no"),
			"something else": &packet.Pingreq{}, "wrong step": auth(packet.ReAuthenticate, "yes"), "PUBLISH": pub("t", "x")} {
			p := s.peer(packet.V5)
			p.Write(hello(packet.V5, "c", method("QUIZ")))
			p.Want("question", auth(packet.ContinueAuthentication, "sure?"))
			p.Write(answer)
			if got, ok := p.next().(*packet.Connack); !ok || got.Reason < packet.UnspecifiedError {
				t.Errorf("%s: got %+v, want a refusal", why, got)
			}
			p.WantClosed(why)
		}
		p = s.peer(packet.V5)
		p.authenticate()
		p.Write(auth(packet.ReAuthenticate, ""))
		p.Want("question", auth(packet.ContinueAuthentication, "sure?"))
		p.Write(auth(packet.ContinueAuthentication, "no"))
		p.WantGone("wrong answer later", packet.NotAuthorized)
	})
}

// Without a method nobody sends AUTH. [MQTT-4.12.0-6] [MQTT-4.12.0-7]
func TestNoMethod(t *testing.T) {
	scriptWith(t, withQuiz, func(s *server) {
		p := s.peer(packet.V5)
		if p.connect("c").Props.Has(packet.PropAuthMethod) {
			t.Error("got a method in CONNACK, want none")
		}
		p.Write(auth(packet.ReAuthenticate, ""))
		p.WantGone("AUTH", packet.ProtocolError)
	})
}

// AUTH has neither reason string nor user properties, so they cannot make it too large. [MQTT-3.15.2-2] [MQTT-3.15.2-3]
func TestAuthIsNotLarger(t *testing.T) {
	scriptWith(t, withQuiz, func(s *server) {
		size := uint32(len(auth(packet.ContinueAuthentication, "sure?").Append(nil, packet.V5)))
		for _, most := range []uint32{size, 1000} {
			p := s.peer(packet.V5)
			p.Write(hello(packet.V5, "c", method("QUIZ"), atMost(most)))
			got := p.next()
			if p.Leave(); got == nil || got.Type() != packet.AUTH || hasReason(t, got) {
				t.Errorf("at most %d bytes: got %v, want AUTH without reason string", most, got)
			}
		}
		p := s.peer(packet.V5)
		p.Write(hello(packet.V5, "c", method("QUIZ"), atMost(size-1)))
		p.WantClosed("without room for AUTH nothing can go on")
	})
}
