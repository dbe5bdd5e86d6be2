package broker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// asking is an Authority with the method "ask": the server asks "who?" and believes names that begin with "a".
// "quick" believes at once.
type asking struct{ rules }

func (asking) Begin(c *mqtt.Client, method string) (mqtt.Exchange, error) {
	if method != "ask" && method != "quick" {
		return nil, &packet.Error{Reason: packet.BadAuthenticationMethod, Detail: "not offered"}
	}
	return &askRun{c: c, asked: method == "quick"}, nil
}

type askRun struct {
	c     *mqtt.Client
	asked bool
}

func (a *askRun) Step(data []byte) (answer []byte, done bool, err error) {
	switch {
	case string(data) == "broken":
		return nil, false, errors.New("the directory is away")
	case string(data) == "big":
		return make([]byte, 1000), false, nil
	case !a.asked:
		a.asked = true
		return []byte("who?"), false, nil
	case len(data) == 0 || data[0] != 'a':
		return nil, false, &packet.Error{Reason: packet.BadUserNameOrPassword, Detail: "never heard of"}
	}
	a.c.Username = string(data)
	return []byte("welcome " + a.c.Username), true, nil
}

// method are the properties of CONNECT, CONNACK and AUTH; data nil = none.
func method(name string, data ...byte) *packet.Properties {
	p := (&packet.Properties{AuthMethod: name}).Mark(packet.PropAuthMethod)
	if data != nil {
		p.AuthData = data
		p.Mark(packet.PropAuthData)
	}
	return p
}

func said(name, data string) *packet.Properties { return method(name, []byte(data)...) }

func auth(reason packet.ReasonCode, p *packet.Properties) *packet.Auth {
	return &packet.Auth{Reason: reason, Props: p}
}

func asks(c *Config) { c.Authority = asking{} }

// connecting sends CONNECT with a method and answers the server's question with name.
func (b *bench) connecting(name string) *peer {
	b.t.Helper()
	p := b.peer(packet.V5)
	p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true, Props: method("ask"), Will: &packet.Will{Topic: "w", Payload: []byte("gone")}})
	p.Want("the question", auth(packet.ContinueAuthentication, said("ask", "who?"))) // [MQTT-4.12.0-2] [MQTT-4.12.0-5]
	p.WantIdle("before the answer")
	p.Write(auth(packet.ContinueAuthentication, said("ask", name))) // [MQTT-4.12.0-3]
	return p
}

// authenticated is a connection that was opened with the method "ask".
func (b *bench) authenticated(name string) *peer {
	b.t.Helper()
	p := b.connecting(name)
	got, ok := p.next().(*packet.Connack)
	if !ok || got.Reason != packet.Success || got.Props.AuthMethod != "ask" || string(got.Props.AuthData) != "welcome "+name { // [MQTT-4.12.0-5]
		b.t.Fatalf("got %+v, want CONNACK with method and data", got)
	}
	return p
}

func TestEnhancedAuthentication(t *testing.T) {
	script(t, asks, func(b *bench) {
		p := b.authenticated("alice")
		p.Write(&packet.Pingreq{})
		p.Want("afterwards", &packet.Pingresp{})
		if w := b.sessions.opened[0].Will; w == nil || string(w.Payload) != "gone" { // kept over the exchange
			t.Errorf("got will %+v, want the one of CONNECT", w)
		}

		q := b.peer(packet.V5)
		q.Write(&packet.Connect{Version: packet.V5, ClientID: "q", CleanStart: true, Props: said("quick", "anna")})
		if got, ok := q.next().(*packet.Connack); !ok || string(got.Props.AuthData) != "welcome anna" {
			t.Errorf("got %+v, want CONNACK at once", got)
		}
	})
}

func TestAuthenticationRefused(t *testing.T) {
	hello := func(p *packet.Properties) *packet.Connect {
		return &packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true, Props: p}
	}
	wide := pub("a", "")
	for _, test := range []struct {
		name   string
		send   []packet.Packet // what comes after CONNECT goes after the server's question
		reason packet.ReasonCode
		why    string
	}{
		{"unknown method", []packet.Packet{hello(method("SCRAM-X"))}, packet.BadAuthenticationMethod, "bad-authentication-method"}, // [MQTT-4.12.0-1]
		{"refused at once", []packet.Packet{hello(said("quick", "bob"))}, packet.BadUserNameOrPassword, "bad-credentials"},         // [MQTT-4.12.0-4]
		{"refused later", []packet.Packet{hello(method("ask")), auth(packet.ContinueAuthentication, said("ask", "bob"))},
			packet.BadUserNameOrPassword, "bad-credentials"},
		{"cannot tell", []packet.Packet{hello(method("ask")), auth(packet.ContinueAuthentication, said("ask", "broken"))},
			packet.ServerUnavailable, "server-unavailable"},
		{"another method", []packet.Packet{hello(method("ask")), auth(packet.ContinueAuthentication, said("quick", "alice"))},
			packet.ProtocolError, "protocol-error"}, // [MQTT-4.12.0-5]
		{"begins again", []packet.Packet{hello(method("ask")), auth(packet.ReAuthenticate, said("ask", "alice"))},
			packet.ProtocolError, "protocol-error"}, // [MQTT-4.12.0-3]
		{"success from a client", []packet.Packet{hello(method("ask")), auth(packet.Success, nil)}, packet.ProtocolError, "protocol-error"},
		{"another packet", []packet.Packet{hello(method("ask")), wide}, packet.ProtocolError, "protocol-error"}, // [MQTT-3.1.2-30]
		{"second CONNECT", []packet.Packet{hello(method("ask")), hello(method("ask"))}, packet.ProtocolError, "protocol-error"},
		{"no exchange offered", []packet.Packet{hello(method("ask"))}, packet.BadAuthenticationMethod, "bad-authentication-method"},
	} {
		t.Run(test.name, func(t *testing.T) {
			change := asks
			if test.name == "no exchange offered" {
				change = nil
			}
			script(t, change, func(b *bench) {
				p := b.peer(packet.V5)
				p.Write(test.send[0])
				for _, next := range test.send[1:] {
					p.Want("the question", auth(packet.ContinueAuthentication, said("ask", "who?")))
					p.Write(next)
				}
				p.Want("the refusal", &packet.Connack{Reason: test.reason})
				p.WantClosed("after the refusal")
				b.wantEnd(test.why)
				if len(b.sessions.opened) != 0 {
					t.Error("a session was opened")
				}
			})
		})
	}
}

func TestAuthenticationAbandoned(t *testing.T) {
	script(t, asks, func(b *bench) {
		p := b.peer(packet.V5)
		p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", Props: method("ask")})
		p.Want("the question", auth(packet.ContinueAuthentication, said("ask", "who?")))
		p.Write(&packet.Disconnect{})
		p.WantClosed("DISCONNECT instead of an answer")
		b.wantEnd("authentication-abandoned")

		q := b.peer(packet.V5)
		q.Write(&packet.Connect{Version: packet.V5, ClientID: "c", Props: method("ask")})
		q.Want("the question", auth(packet.ContinueAuthentication, said("ask", "who?")))
		time.Sleep(DefaultConnectTimeout + time.Second) // in the bubble: no wait
		q.WantClosed("no answer")
		b.wantEnd("connect-timeout")
	})
}

func TestReauthentication(t *testing.T) { // [MQTT-4.12.1-1]
	script(t, asks, func(b *bench) {
		p := b.authenticated("alice")
		for range 2 {
			p.Write(auth(packet.ReAuthenticate, method("ask")))
			p.Want("the question", auth(packet.ContinueAuthentication, said("ask", "who?")))
			p.Write(sub(1, "x"), pub("x", "meanwhile"))
			p.Want("others go on", &packet.Suback{PacketID: 1, Reasons: []packet.ReasonCode{0}})
			p.Want("others go on", pub("x", "meanwhile"))
			p.Write(auth(packet.ContinueAuthentication, said("ask", "alice")))
			p.Want("success", auth(packet.Success, said("ask", "welcome alice")))
		}
		p.WantIdle("afterwards")
	})
}

func TestReauthenticationFails(t *testing.T) { // [MQTT-4.12.1-2]
	begin, next := packet.ReAuthenticate, packet.ContinueAuthentication
	for _, test := range []struct {
		name   string
		send   []*packet.Auth
		reason packet.ReasonCode
	}{
		{"refused", []*packet.Auth{auth(begin, method("ask")), auth(next, said("ask", "bob"))}, packet.NotAuthorized},
		{"cannot tell", []*packet.Auth{auth(begin, said("ask", "broken"))}, packet.UnspecifiedError},
		{"somebody else", []*packet.Auth{auth(begin, method("ask")), auth(next, said("ask", "anna"))}, packet.NotAuthorized},
		{"another method", []*packet.Auth{auth(begin, said("quick", "alice"))}, packet.ProtocolError}, // [MQTT-4.12.1-1]
		{"begins twice", []*packet.Auth{auth(begin, method("ask")), auth(begin, method("ask"))}, packet.ProtocolError},
		{"goes on without a beginning", []*packet.Auth{auth(next, said("ask", "alice"))}, packet.ProtocolError},
		{"success from a client", []*packet.Auth{auth(packet.Success, nil)}, packet.ProtocolError}, // [MQTT-3.15.2-1]
	} {
		t.Run(test.name, func(t *testing.T) {
			script(t, asks, func(b *bench) {
				p := b.authenticated("alice")
				for i, each := range test.send {
					p.Write(each)
					if i < len(test.send)-1 {
						p.Want("the question", auth(next, said("ask", "who?")))
					}
				}
				p.WantDisconnect(test.name, test.reason)
			})
		})
	}
}

func TestAuthWithoutMethod(t *testing.T) { // [MQTT-4.12.0-6] [MQTT-4.12.0-7]
	script(t, asks, func(b *bench) {
		p := b.peer(packet.V5)
		p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", CleanStart: true})
		if got := p.next().(*packet.Connack); got.Props.Has(packet.PropAuthMethod) {
			t.Errorf("got CONNACK with the method %q, want none", got.Props.AuthMethod)
		}
		p.Write(auth(packet.ReAuthenticate, method("ask")))
		p.WantDisconnect("AUTH", packet.ProtocolError)
	})
}

func TestAuthLargerThanTheClientTakes(t *testing.T) { // [MQTT-3.1.2-24]
	script(t, asks, func(b *bench) {
		p := b.peer(packet.V5)
		props := said("ask", "big")
		props.MaximumPacketSize = 100
		props.Mark(packet.PropMaximumPacketSize)
		p.Write(&packet.Connect{Version: packet.V5, ClientID: "c", Props: props})
		p.WantClosed("AUTH of 1,000 bytes")
		synctest.Wait()
		b.wantEnd("answer-too-large")
	})
}
