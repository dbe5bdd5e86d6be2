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

// A client on a thin line that goes on taking bytes is not one that never reads. A byte now and then is not enough.
func TestClientThatReadsSlowly(t *testing.T) {
	script(t, nil, func(b *bench) {
		slow, p := b.client(packet.V311, "slow"), b.client(packet.V311, "p")
		slow.Write(sub(1, "a"))
		slow.next()
		slow.ack(1)
		slow.pause(true)
		p.Write(pub("a", string(make([]byte, 300_000))))
		for range 100 {
			time.Sleep(DefaultWriteTimeout / 2)
			slow.ack(signOfLife)
		}
		if slow.isClosed() {
			t.Error("a client that takes 1 KiB in 15 s was closed")
		}
		for range 6 {
			time.Sleep(DefaultWriteTimeout / 2)
			slow.ack(1)
		}
		b.wantEnd("write-timeout")
		slow.pause(false)
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

// Who has much to send waits until little is waiting, or until one write has ended and there is room at all: others who send
// all the time do not keep it waiting for ever.
func TestWaitLow(t *testing.T) {
	const low, max = 100, 1000
	for _, c := range []struct {
		name                 string
		before, meanwhile    int // bytes waiting
		writes               int // ended meanwhile
		waits, waitsMeantime bool
	}{
		{name: "little is waiting", before: low - 1},
		{name: "much is waiting", before: low, waits: true, meanwhile: low, waitsMeantime: true},
		{name: "little is waiting now", before: low, waits: true, meanwhile: low - 1, writes: 1},
		{name: "others have sent since", before: low, waits: true, meanwhile: max - 1, writes: 1},
		{name: "others have filled it", before: low, waits: true, meanwhile: max, writes: 1, waitsMeantime: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &out{max: max, metrics: newServerMetrics(nil)}
				o.changed.L = &o.mu
				put := func(n int) {
					o.mu.Lock()
					o.ready = &outBuffer{b: make([]byte, n)}
					o.mu.Unlock()
				}
				put(c.before)
				done := false
				go func() { done = o.waitLow(low) }() // ends with end, below
				synctest.Wait()
				if done == c.waits {
					t.Errorf("at first: got done %v, want %v", done, !c.waits)
				}
				put(c.meanwhile)
				for range c.writes {
					o.wrote(&outBuffer{}, nil)
				}
				o.signal()
				synctest.Wait()
				if done == c.waitsMeantime {
					t.Errorf("then: got done %v, want %v", done, !c.waitsMeantime)
				}
				put(0)
				o.signal()
			})
		})
	}
}

// waiting is how many bytes wait to be written to clients.
func (b *bench) waiting() (n int) {
	b.srv.mu.Lock()
	defer b.srv.mu.Unlock()
	for c := range b.srv.conns {
		c.out.mu.Lock()
		n += c.out.pendingLocked()
		c.out.mu.Unlock()
	}
	return n
}

// Retained messages for a client that does not read wait in the store, not in its output.
func TestRetainedWaitForTheReader(t *testing.T) {
	script(t, nil, func(b *bench) {
		p := b.client(packet.V311, "p")
		for i := range 500 {
			p.Write(&packet.Publish{Retain: true, Topic: fmt.Appendf(nil, "r/%d", i), Payload: make([]byte, 1000)})
		}
		s := b.client(packet.V311, "s")
		s.pause(true)
		s.Write(sub(1, "r/+"))
		synctest.Wait()
		if got := b.waiting(); got < retainedAhead/2 || got > 3*retainedAhead {
			t.Errorf("got %d bytes waiting for the client, want about %d", got, 2*retainedAhead)
		}
		s.pause(false)
		s.next()
		for range 500 {
			if got, ok := s.next().(*packet.Publish); !ok {
				t.Fatalf("got %+v, want a retained message", got)
			}
		}
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

// What waits behind a write that takes long is counted as sent, as what left is: nothing is in between.
func TestSentIsCountedBehindASlowWrite(t *testing.T) {
	script(t, nil, func(b *bench) {
		s, p := b.client(packet.V311, "s"), b.client(packet.V311, "p")
		s.Write(sub(1, "a"))
		s.next()
		s.pause(true)
		for range 10 {
			p.Write(pub("a", "x"))
			synctest.Wait()
		}
		if got := b.srv.metrics.sent[0].Get(); got != 10 {
			t.Errorf("got %d messages counted as sent, want 10", got)
		}
		s.pause(false)
		for range 10 {
			s.Want("all of them", pub("a", "x"))
		}
		if got := b.srv.metrics.sent[0].Get(); got != 10 {
			t.Errorf("got %d messages counted as sent at the end, want 10", got)
		}
	})
}
