package client

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/packet"
)

func TestConnectSaysWhatTheConfigSays(t *testing.T) {
	will := &packet.Will{Topic: "gone", Payload: []byte("x"), QoS: 1, Retain: true}
	user := []packet.UserProperty{{Name: "b", Value: "2"}, {Name: "a", Value: "1"}}
	script(t, func(t *testing.T, v packet.Version) {
		cfg := Config{Version: v, ClientID: "id", Username: "u", Password: []byte("p"), KeepAlive: 90*time.Second + 1,
			Clean: true, SessionExpiry: -1, Will: will, ReceiveMaximum: 7, MaxPacket: 5000, UserProps: user}
		p := serve(t, &cfg)
		got := dial(cfg)
		want := &packet.Connect{Version: v, CleanStart: true, KeepAlive: 91, ClientID: "id", Username: "u", HasUser: true,
			Password: []byte("p"), HasPass: true, Will: will}
		if v == packet.V5 {
			want.Props = &packet.Properties{SessionExpiry: 0xFFFFFFFF, ReceiveMaximum: 7, MaximumPacketSize: 5000, User: user}
			want.Props.Mark(packet.PropSessionExpiry).Mark(packet.PropReceiveMaximum).Mark(packet.PropMaximumPacketSize).Mark(packet.PropUser)
		}
		p.want("CONNECT", want)
		p.send(&packet.Connack{})
		d := <-got
		must(t, d.err)
		if d.c.SessionPresent() || d.c.ClientID() != "id" || d.c.Err() != nil {
			t.Errorf("got present %v, id %q, error %v", d.c.SessionPresent(), d.c.ClientID(), d.c.Err())
		}
		d.c.Abort()
		<-d.c.Done()
		p.wantClosed("Abort sends nothing")
	})
}

func TestConnackThatRefuses(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		var st State
		cfg := Config{Version: v, ClientID: "id", State: &st}
		p := serve(t, &cfg)
		got := dial(cfg)
		_, err := p.next(patience)
		must(t, err)
		p.send(&packet.Connack{Reason: packet.NotAuthorized})
		d := <-got
		var refused *Error
		if !errors.As(d.err, &refused) || refused.Packet != packet.CONNACK || refused.Reason != packet.NotAuthorized {
			t.Errorf("got %v, want an *Error of CONNACK with NotAuthorized", d.err)
		}
		p.wantClosed("a refused client goes")
		if st.owner != nil {
			t.Error("the state is not free")
		}
	})
}

func TestConnectFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		clean  bool
		answer func(*peer)
		check  func(error) bool
	}{
		{"end of stream", false, func(p *peer) { must(p.t, p.conn.Close()) }, func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"silence", false, func(*peer) {}, func(err error) bool { return errors.Is(err, context.DeadlineExceeded) }},
		{"another packet [MQTT-3.2.0-1]", false, func(p *peer) { p.send(&packet.Pingresp{}) }, isProtocolError},
		{"a session despite clean start [MQTT-3.2.2-2]", true, func(p *peer) { p.send(&packet.Connack{SessionPresent: true}) }, isProtocolError},
		{"garbage", false, func(p *peer) { p.sendBytes([]byte("HTTP/1.1 400")) }, func(err error) bool { return err != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cfg := Config{Clean: c.clean}
				p := serve(t, &cfg)
				got := dial(cfg)
				_, err := p.next(patience)
				must(t, err)
				c.answer(p)
				if d := <-got; !c.check(d.err) {
					t.Errorf("got %v", d.err)
				}
			})
		})
	}
}

func isProtocolError(err error) bool {
	var e *packet.Error
	return errors.As(err, &e) && e.Reason == packet.ProtocolError
}

func TestConfigIsChecked(t *testing.T) {
	for _, cfg := range []Config{
		{Version: 6},
		{Version: 2},
		{Version: packet.V311}, // no client id and not clean [MQTT311-3.1.3-7]
		{KeepAlive: 65536 * time.Second},
		{MaxInflight: maxFlights + 1},
		{PingTimeout: -1},
	} {
		cfg.Dial = func(context.Context, string) (net.Conn, error) { return nil, errors.New("BUG: dialled") }
		if _, err := Dial(context.Background(), cfg); err == nil || err.Error() == "BUG: dialled" {
			t.Errorf("%+v: got %v, want an error of the check", cfg, err)
		}
	}
}

func TestServerAssignsClientID(t *testing.T) {
	bubble(t, func(t *testing.T) {
		props := (&packet.Properties{AssignedClientID: "auto-1"}).Mark(packet.PropAssignedClientID)
		c, _ := connect(t, Config{}, &packet.Connack{Props: props})
		if c.ClientID() != "auto-1" {
			t.Errorf("got %q, want auto-1", c.ClientID())
		}
	})
}

func TestDisconnectWaitsForWhatIsUnderWay(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		var closed []error
		c, p := connect(t, Config{Version: v, ClientID: "id", OnClose: func(err error) { closed = append(closed, err) }}, &packet.Connack{})
		o := make(outcomes, 2)
		must(t, c.PublishAsync(message("t", "x", 1), o.done("x")))
		p.want("message", publishOf("t", "x", 1, 1))
		left := make(chan error, 1)
		go func() { left <- c.Disconnect(context.Background()) }() // ends below
		p.wantIdle("not acknowledged yet")
		if err := c.PublishAsync(message("t", "y", 1), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("publish during Disconnect: got %v, want ErrClosed", err)
		}
		p.send(ack(packet.PUBACK, 1, 0))
		p.want("now it may go", &packet.Disconnect{})
		must(t, p.conn.Close())
		must(t, <-left)
		o.want(t, "x", 0, nil)
		<-c.Done()
		if len(closed) != 1 || closed[0] != ErrClosed || c.Err() != ErrClosed {
			t.Errorf("got OnClose %v, Err %v, want ErrClosed once", closed, c.Err())
		}
	})
}

func TestDisconnectEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		must(t, c.PublishAsync(message("t", "x", 1), nil))
		p.want("message", publishOf("t", "x", 1, 1))
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := c.Disconnect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want deadline exceeded", err)
		}
		p.wantClosed("aborted")
	})
}

func TestCloseWithReason(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		c, p := connect(t, Config{Version: v, ClientID: "id"}, &packet.Connack{})
		c.Close(packet.AdministrativeAction)
		c.Close(packet.Success) // the first one counts
		if v == packet.V5 {
			p.want("reason", &packet.Disconnect{Reason: packet.AdministrativeAction})
			began := time.Now()
			<-c.Done() // although the server does not close
			if d := time.Since(began); d > closeGrace {
				t.Errorf("closing took %v, want at most %v", d, closeGrace)
			}
		}
		p.wantClosed("before 5.0 there are no reasons")
		<-c.Done()
	})
}

func TestServerDisconnects(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{}, &packet.Connack{})
		p.send(&packet.Disconnect{Reason: packet.ServerShuttingDown})
		<-c.Done()
		var e *Error
		if !errors.As(c.Err(), &e) || e.Packet != packet.DISCONNECT || e.Reason != packet.ServerShuttingDown {
			t.Errorf("got %v, want an *Error of DISCONNECT", c.Err())
		}
		if err := c.PublishAsync(message("t", "x", 0), nil); !errors.As(err, &e) {
			t.Errorf("publish afterwards: got %v, want the same", err)
		}
	})
}

func TestProtocolErrorsAreAnswered(t *testing.T) {
	for _, c := range []struct {
		name   string
		bytes  []byte
		reason packet.ReasonCode
	}{
		{"a packet servers do not send", []byte{0xC0, 0}, packet.ProtocolError},
		{"packet type 0", []byte{0, 0}, packet.MalformedPacket},
		{"QoS 3", []byte{0x36, 5, 0, 1, 't', 0, 1}, packet.MalformedPacket},
		{"topic alias [MQTT-3.1.2-27]", []byte{0x30, 7, 0, 1, 't', 3, 35, 0, 1}, packet.TopicAliasInvalid},
		{"above MaxPacket", []byte{0x30, 0xFF, 0x7F}, packet.PacketTooLarge},
		{"SUBACK nobody asked for", []byte{0x90, 4, 0, 9, 0, 0}, packet.ProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cl, p := connect(t, Config{MaxPacket: 1000}, &packet.Connack{})
				p.sendBytes(c.bytes)
				p.want("[MQTT-4.13.1-1]", &packet.Disconnect{Reason: c.reason})
				must(t, p.conn.Close())
				<-cl.Done()
				var e *packet.Error
				if !errors.As(cl.Err(), &e) || e.Reason != c.reason {
					t.Errorf("got %v, want %v", cl.Err(), c.reason)
				}
			})
		})
	}
}

func TestKeepAlive(t *testing.T) {
	script(t, func(t *testing.T, v packet.Version) {
		c, p := connect(t, Config{Version: v, ClientID: "id", KeepAlive: 30 * time.Second}, &packet.Connack{})
		for range 3 { // [MQTT-3.1.2-20]
			began := time.Now()
			p.want("ping", &packet.Pingreq{})
			if d := time.Since(began); d < 18*time.Second || d > 22*time.Second {
				t.Errorf("ping after %v, want two thirds of 30 s", d)
			}
			p.send(&packet.Pingresp{})
		}
		began := time.Now()
		p.want("last ping", &packet.Pingreq{})
		<-c.Done()
		if d := time.Since(began); c.Err() != ErrPingTimeout || d > 40*time.Second {
			t.Errorf("got %v after %v, want ErrPingTimeout within 40 s", c.Err(), d)
		}
	})
}

func TestKeepAliveOfTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		props := (&packet.Properties{ServerKeepAlive: 6}).Mark(packet.PropServerKeepAlive)
		_, p := connect(t, Config{KeepAlive: time.Hour}, &packet.Connack{Props: props})
		began := time.Now()
		p.want("ping", &packet.Pingreq{})
		if d := time.Since(began); d > 6*time.Second { // [MQTT-3.1.2-21]
			t.Errorf("ping after %v, want within 6 s", d)
		}
	})
}

func TestNoPingWhileThereIsTraffic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{KeepAlive: 30 * time.Second}, &packet.Connack{})
		for range 20 {
			time.Sleep(5 * time.Second) // the bubble's time
			must(t, c.PublishAsync(message("t", "x", 0), nil))
			p.want("message and no ping", publishOf("t", "x", 0, 0))
			p.send(publishOf("u", "y", 0, 0))
		}
	})
}

func TestPeerThatDoesNotRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, _ := connect(t, Config{KeepAlive: 30 * time.Second}, &packet.Connack{})
		must(t, c.PublishAsync(message("t", "x", 0), nil)) // stays in the pipe
		synctest.Wait()
		<-c.Done()
		if c.Err() != ErrPingTimeout {
			t.Errorf("got %v, want ErrPingTimeout", c.Err())
		}
	})
}

// Who hears of us, or whom we hear, at odd times costs no ping more than the line needs, and no line stays dead for longer than
// 1.5 times the keep-alive.
func TestKeepAliveCountsFromTheLatest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{KeepAlive: 30 * time.Second}, &packet.Connack{})
		for range 20 {
			time.Sleep(19 * time.Second) // the bubble's time
			must(t, c.PublishAsync(message("t", "x", 0), nil))
			p.want("message and no ping", publishOf("t", "x", 0, 0))
			p.send(publishOf("u", "y", 0, 0))
		}
		began := time.Now()
		p.want("ping", &packet.Pingreq{})
		<-c.Done()
		if d := time.Since(began); c.Err() != ErrPingTimeout || d > 45*time.Second {
			t.Errorf("got %v after %v, want ErrPingTimeout within 45 s", c.Err(), d)
		}
	})
}

// A PINGREQ behind much that is under way may wait for as long as bytes of it arrive; once nothing arrives, the line is
// dead.
func TestKeepAliveOfAThinLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{KeepAlive: 30 * time.Second}, &packet.Connack{})
		p.line.send(1_000_000, 0)
		for range 300 {
			p.line.send(2, 300)
			_, _ = p.next(5 * time.Second)
		}
		if c.Err() != nil {
			t.Errorf("got %v, want a connection that lives while bytes arrive", c.Err())
		}
		began := time.Now()
		for c.Err() == nil {
			p.line.send(2, 0)
			_, _ = p.next(time.Second)
		}
		if d := time.Since(began); c.Err() != ErrPingTimeout || d > 40*time.Second {
			t.Errorf("got %v after %v, want ErrPingTimeout within 40 s of the last byte", c.Err(), d)
		}
	})
}

// A server that hangs has a kernel that acknowledges each PINGREQ.
func TestKeepAliveOfAHungServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, p := connect(t, Config{KeepAlive: 30 * time.Second}, &packet.Connack{})
		began := time.Now()
		for c.Err() == nil {
			_, _ = p.next(time.Second)
			p.line.send(2, 2)
		}
		if d := time.Since(began); c.Err() != ErrPingTimeout || d > 40*time.Second {
			t.Errorf("got %v after %v, want ErrPingTimeout within 40 s", c.Err(), d)
		}
	})
}
