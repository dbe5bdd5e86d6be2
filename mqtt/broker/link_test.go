package broker

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// echo accepts links and sends each frame back.
type echo struct {
	refuse error

	mu     sync.Mutex
	out    mqtt.Carrier
	closed []error
}

func (e *echo) Accept(c *mqtt.Client, versions string, out mqtt.Carrier) (mqtt.LinkEnd, error) {
	if e.refuse != nil {
		return nil, e.refuse
	}
	e.out = out
	return e, out.Frame("hello", fmt.Appendf(nil, "%s %v %s", c.ID, c.Link, versions))
}

func (e *echo) Frame(kind string, body []byte) error {
	if kind == "bad" {
		return errors.New("no such frame")
	}
	return e.out.Frame(kind, body)
}

func (e *echo) Closed(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = append(e.closed, err)
}

func linkConnect() *packet.Connect {
	return &packet.Connect{Version: packet.V5, ClientID: "edge-a", CleanStart: true, KeepAlive: 10,
		Props: (&packet.Properties{User: []packet.UserProperty{{Name: mqtt.LinkProperty, Value: "1-1"}}}).Mark(packet.PropUser)}
}

func (b *bench) link() *peer {
	p := b.peer(packet.V5)
	p.Write(linkConnect())
	got, ok := p.next().(*packet.Connack)
	if value, _ := userProperty(got.Props, mqtt.LinkProperty); !ok || got.Reason != packet.Success || value != "1-1" {
		b.t.Fatalf("got %+v, want CONNACK with %s", got, mqtt.LinkProperty)
	}
	return p
}

func TestLink(t *testing.T) {
	links := &echo{}
	script(t, func(c *Config) { c.Links = links }, func(b *bench) {
		p := b.link()
		p.Want("sent by Accept, after CONNACK", pub("$link/hello", "edge-a true 1-1"))
		big := string(make([]byte, 2<<20)) // above the bound of clients
		p.Write(pub("$link/data", "1"), pub("$link/data", big), &packet.Pingreq{})
		p.Want("echo", pub("$link/data", "1"))
		p.Want("echo", pub("$link/data", big))
		p.Want("PINGRESP", &packet.Pingresp{})
		if len(b.sessions.opened) != 0 {
			t.Errorf("got %d sessions, want none for a link", len(b.sessions.opened))
		}
		time.Sleep(20 * time.Second)
		p.WantDisconnect("keep alive", packet.KeepAliveTimeout)
		if len(links.closed) != 1 || links.closed[0] == nil {
			t.Errorf("got Closed %v, want once with the reason", links.closed)
		}
	})
}

func TestLinkFaults(t *testing.T) {
	tests := map[string]struct {
		p      packet.Packet
		reason packet.ReasonCode
	}{
		"a frame not understood": {pub("$link/bad", ""), packet.UnspecifiedError},
		"an ordinary publish":    {pub("a", ""), packet.ProtocolError},
		"QoS 1":                  {pubQ(1, 1, "$link/data", ""), packet.ProtocolError},
		"SUBSCRIBE":              {sub(1, "a"), packet.ProtocolError},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			links := &echo{}
			script(t, func(c *Config) { c.Links = links }, func(b *bench) {
				p := b.link()
				p.next()
				p.Write(test.p)
				p.WantDisconnect(name, test.reason)
				if len(links.closed) != 1 {
					t.Errorf("got Closed %d times, want once", len(links.closed))
				}
			})
		})
	}
}

func TestLinkRefused(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.peer(packet.V5)
		p.Write(linkConnect())
		p.Want("no links here", &packet.Connack{Reason: packet.NotAuthorized})
		p.WantClosed("no links here")
	})
	links := &echo{refuse: &packet.Error{Reason: packet.UseAnotherServer, Detail: "full"}}
	script(t, func(c *Config) { c.Links = links }, func(b *bench) {
		p := b.peer(packet.V5)
		p.Write(linkConnect())
		p.Want("refused", &packet.Connack{Reason: packet.UseAnotherServer})
		p.WantClosed("refused")
		if len(links.closed) != 0 {
			t.Errorf("got Closed for a link that never was")
		}
	})
}

// Frame waits while the neighbour does not read, and Close ends the wait.
func TestLinkFrameWaitsForRoom(t *testing.T) {
	links := &echo{}
	script(t, func(c *Config) { c.Links = links; c.MaxOutput = 10_000 }, func(b *bench) {
		p := b.link()
		p.next()
		p.pause(true)
		result := make(chan error, 1)
		sent := 0
		go func() {
			for {
				if err := links.out.Frame("data", make([]byte, 1000)); err != nil {
					result <- err
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent < 10 || sent > 30 {
			t.Errorf("got %d frames of 1,000 bytes into a buffer of 10,000", sent)
		}
		select {
		case err := <-result:
			t.Fatalf("got %v, want Frame to wait", err)
		default:
		}
		links.out.Close(packet.AdministrativeAction)
		if err := <-result; !errors.Is(err, errClosing) {
			t.Errorf("got %v, want %v", err, errClosing)
		}
		p.pause(false)
	})
}

// Frames that a neighbour takes off a thin line are a sign of life, also when its PINGREQ does not come through.
func TestLinkThatTakesBytes(t *testing.T) {
	script(t, func(c *Config) { c.Links = &echo{} }, func(b *bench) {
		p := b.link()
		p.next()
		p.ack(1)
		for range 50 {
			time.Sleep(4 * time.Second)
			p.ack(1)
		}
		p.WantIdle("bytes are taken")
		time.Sleep(20 * time.Second)
		p.WantDisconnect("nothing is taken", packet.KeepAliveTimeout)
	})
}
