package client

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"mangrove/mqtt/packet"
)

// mosquitto starts an independent broker, or skips.
func mosquitto(t *testing.T) (addr string) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		if path = "/usr/sbin/mosquitto"; exec.Command(path, "-h").Run() != nil && !exists(path) {
			t.Skip("mosquitto is not installed")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	addr = l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	must(t, l.Close())
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	must(t, os.WriteFile(conf, fmt.Appendf(nil, "listener %s 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", port), 0o600))
	var log bytes.Buffer
	cmd := exec.Command(path, "-c", conf)
	cmd.Stderr = &log
	must(t, cmd.Start())
	t.Cleanup(func() {
		must(t, cmd.Process.Signal(os.Interrupt))
		if err := cmd.Wait(); err != nil {
			t.Logf("mosquitto: %v\n%s", err, &log)
		}
	})
	deadline := time.Now().Add(realPatience)
	for time.Now().Before(deadline) {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			must(t, c.Close())
			return addr
		}
		<-time.After(10 * time.Millisecond) // between two tries
	}
	t.Fatalf("mosquitto does not answer\n%s", &log)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func dialNow(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := Dial(context.Background(), cfg)
	must(t, err)
	t.Cleanup(func() {
		c.Abort()
		<-c.Done()
	})
	return c
}

func wantMessage(t *testing.T, got <-chan *Message, topic, payload string) *Message {
	t.Helper()
	select {
	case m := <-got:
		if m.Topic != topic || string(m.Payload) != payload {
			t.Fatalf("got %s %q, want %s %q", m.Topic, m.Payload, topic, payload)
		}
		return m
	case <-time.After(realPatience):
		t.Fatalf("nothing came, want %s %q", topic, payload)
	}
	return nil
}

// TestWithMosquitto speaks to a broker nobody here wrote.
func TestWithMosquitto(t *testing.T) {
	addr := mosquitto(t)
	for name, v := range map[string]packet.Version{"3.1": packet.V31, "3.1.1": packet.V311, "5.0": packet.V5} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), realPatience)
			defer cancel()
			t.Run("pipelined", func(t *testing.T) { mosquittoPipelined(t, ctx, addr, v) })
			t.Run("resumed", func(t *testing.T) { mosquittoResumed(t, ctx, addr, v) })
			t.Run("will", func(t *testing.T) { mosquittoWill(t, ctx, addr, v) })
		})
	}
}

func mosquittoPipelined(t *testing.T, ctx context.Context, addr string, v packet.Version) {
	got := make(chan *Message, 900)
	sub := dialNow(t, Config{Addr: addr, Version: v, ClientID: "sub", Clean: true, OnMessage: func(m *Message) { got <- m }})
	reasons, err := sub.Subscribe(ctx, packet.SubscribeFilter{Filter: "p/+", QoS: 2})
	must(t, err)
	if len(reasons) != 1 || reasons[0] != packet.GrantedQoS2 {
		t.Fatalf("got %v, want granted QoS 2", reasons)
	}
	pub := dialNow(t, Config{Addr: addr, Version: v, ClientID: "pub", Clean: true})
	acked := make(outcomes, 900)
	for qos := range byte(3) {
		for i := range 300 {
			must(t, pub.PublishAsync(message(fmt.Sprint("p/", qos), fmt.Sprint(i), qos), acked.done("")))
		}
	}
	must(t, pub.Disconnect(ctx))
	for range 900 {
		if o := <-acked; o.err != nil {
			t.Errorf("not acknowledged: %v", o.err)
		}
	}
	next := map[string]int{}
	for range 900 {
		select {
		case m := <-got:
			if want := fmt.Sprint(next[m.Topic]); string(m.Payload) != want {
				t.Fatalf("%s: got %s, want %s", m.Topic, m.Payload, want)
			}
			next[m.Topic]++
		case <-ctx.Done():
			t.Fatalf("got only %v", next)
		}
	}
	reasons, err = sub.Unsubscribe(ctx, "p/+")
	must(t, err)
	if len(reasons) != 1 || reasons[0] != packet.Success {
		t.Errorf("got %v, want success", reasons)
	}
}

// mosquittoResumed loses connections on both sides and wants each QoS 2 message once.
func mosquittoResumed(t *testing.T, ctx context.Context, addr string, v packet.Version) {
	const messages = 200
	got := make(chan *Message, 2*messages)
	var in, out State
	subCfg := Config{Addr: addr, Version: v, ClientID: fmt.Sprint("resumed-sub-", v), SessionExpiry: time.Minute, State: &in,
		OnMessage: func(m *Message) { got <- m }}
	pubCfg := Config{Addr: addr, Version: v, ClientID: fmt.Sprint("resumed-pub-", v), SessionExpiry: time.Minute, State: &out}
	sub := dialNow(t, subCfg)
	topic := "r/" + subCfg.ClientID
	_, err := sub.Subscribe(ctx, packet.SubscribeFilter{Filter: topic, QoS: 2})
	must(t, err)
	pub := dialNow(t, pubCfg)
	for i := range messages {
		m := message(topic, fmt.Sprint(i), 2)
		for pub.PublishAsync(m, nil) != nil { // the connection was just lost
			pub = dialNow(t, pubCfg)
		}
		if i%50 == 25 {
			pub.Abort()
			sub.Abort()
			<-pub.Done()
			<-sub.Done()
			sub = dialNow(t, subCfg)
			if !sub.SessionPresent() && v != packet.V31 {
				t.Fatal("the session is gone")
			}
		}
	}
	must(t, pub.Disconnect(ctx))
	for i := range messages {
		wantMessage(t, got, topic, fmt.Sprint(i))
	}
	if n := len(got); n != 0 {
		t.Errorf("%d messages came twice", n)
	}
}

func mosquittoWill(t *testing.T, ctx context.Context, addr string, v packet.Version) {
	got := make(chan *Message, 2)
	sub := dialNow(t, Config{Addr: addr, Version: v, ClientID: "watch", Clean: true, OnMessage: func(m *Message) { got <- m }})
	_, err := sub.Subscribe(ctx, packet.SubscribeFilter{Filter: "will/#", QoS: 1})
	must(t, err)
	for _, abort := range []bool{false, true} {
		c := dialNow(t, Config{Addr: addr, Version: v, ClientID: "mortal", Clean: true,
			Will: &packet.Will{Topic: "will/1", Payload: []byte(fmt.Sprint(abort)), QoS: 1}})
		if abort {
			c.Abort()
		} else {
			must(t, c.Disconnect(ctx))
		}
		<-c.Done()
	}
	wantMessage(t, got, "will/1", "true") // and none of the one that said goodbye
}
