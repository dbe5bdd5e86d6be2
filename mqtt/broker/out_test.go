package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/packet"
)

// A client that never reads loses QoS 0 messages beyond its buffer, is closed after the write timeout,
// and slows nobody. [promise P6]
func TestClientThatNeverReads(t *testing.T) {
	script(t, func(c *Config) { c.MaxOutput = 10_000 }, func(b *bench) {
		slow, fast, p := b.client(packet.V311, "slow"), b.client(packet.V311, "fast"), b.client(packet.V311, "p")
		for _, s := range []*peer{slow, fast} {
			s.Write(sub(1, "a"))
			s.next()
		}
		slow.pause(true)
		for range 100 {
			p.Write(pub("a", string(make([]byte, 1000))))
			fast.Want("the fast one", pub("a", string(make([]byte, 1000))))
		}
		if got := b.sessions.dropped.Load(); got < 80 || got > 90 {
			t.Errorf("got %d messages dropped of 100, want all but what 10,000 bytes hold", got)
		}
		time.Sleep(2 * DefaultWriteTimeout)
		b.wantEnd("write-timeout")
		slow.pause(false)
		fast.Write(&packet.Pingreq{})
		fast.Want("the fast one", &packet.Pingresp{})
	})
}

// QoS 1 messages wait for room instead of being dropped.
func TestFullOutputResumes(t *testing.T) {
	script(t, func(c *Config) { c.MaxOutput = 10_000; c.ReceiveMaximum = 1000 }, func(b *bench) {
		s, p := b.client(packet.V311, "s"), b.client(packet.V311, "p")
		s.Write(sub(1, "a 1"))
		s.next()
		s.pause(true)
		for i := range 100 {
			p.Write(pubQ(1, uint16(i+1), "a", string(make([]byte, 1000))))
		}
		synctest.Wait()
		s.pause(false)
		for i := range 100 {
			s.Want("all of them in order", pubQ(1, uint16(i+1), "a", string(make([]byte, 1000))))
		}
	})
}

// A client that sends requests but reads no answers is not read further, so that nothing grows.
func TestReadingStopsAboveTheBound(t *testing.T) {
	script(t, func(c *Config) { c.MaxOutput = 1000 }, func(b *bench) {
		p := b.client(packet.V311, "p")
		p.pause(true)
		ping := (&packet.Pingreq{}).Append(nil, packet.V311)
		sent := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				if _, err := p.nc.Write(ping); err != nil {
					return
				}
				sent++
			}
		}()
		synctest.Wait()
		if sent > readBuffer {
			t.Errorf("got %d requests taken without an answer read", sent)
		}
		time.Sleep(2 * DefaultWriteTimeout)
		<-done
		p.pause(false)
		b.wantEnd("write-timeout")
	})
}

// A client that takes long to read what it asked for is not silent: the server does not read it meanwhile.
func TestKeepAliveWaitsForTheReader(t *testing.T) { // [MQTT-3.1.2-22]
	script(t, func(c *Config) { c.MaxOutput = 1000 }, func(b *bench) {
		p := b.client(packet.V311, "p")
		for i := range 20 {
			p.Write(&packet.Publish{Retain: true, Topic: fmt.Appendf(nil, "r/%d", i), Payload: make([]byte, 1000)})
		}
		s := b.client(packet.V311, "s", func(c *packet.Connect) { c.KeepAlive = 10 })
		s.pause(true)
		s.Write(sub(1, "r/+"))
		time.Sleep(20 * time.Second)
		s.pause(false)
		s.next()
		for range 20 {
			if got, ok := s.next().(*packet.Publish); !ok {
				t.Fatalf("got %+v, want a retained message", got)
			}
		}
		time.Sleep(14 * time.Second)
		s.WantIdle("within 1.5 × keep alive of the last message")
		time.Sleep(3 * time.Second)
		s.WantClosed("silence")
	})
}
