package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqttclient "mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// memory is the node's resident memory in bytes.
func (n *node) memory() int {
	n.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if err != nil {
		n.t.Skipf("no /proc here: %v", err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		n.t.Fatalf("read VmRSS: %v", err)
	}
	return kb << 10
}

// deafWindow is the Receive Maximum of deaf clients.
const deafWindow = 10

// deaf connects a client that subscribes, reads the answers, and never reads again.
func deaf(t *testing.T, n *node, id, filter string, qos byte) {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr())
	if err != nil {
		t.Fatalf("connect %s: %v", id, err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.(*net.TCPConn).SetReadBuffer(4096)
	connect := packet.Connect{Version: packet.V5, ClientID: id, CleanStart: true,
		Props: (&packet.Properties{ReceiveMaximum: deafWindow}).Mark(packet.PropReceiveMaximum)}
	subscribe := packet.Subscribe{PacketID: 1, Filters: []packet.SubscribeFilter{{Filter: filter, QoS: qos}}}
	if _, err := conn.Write(subscribe.Append(connect.Append(nil, packet.V5), packet.V5)); err != nil {
		t.Fatalf("subscribe %s: %v", id, err)
	}
	conn.SetReadDeadline(time.Now().Add(wait))
	for r, kind := bufio.NewReaderSize(conn, 16), byte(0); kind != byte(packet.SUBACK); {
		head, err := r.ReadByte()
		if err != nil {
			t.Fatalf("read answer to %s: %v", id, err)
		}
		length, err := r.ReadByte() // both answers are shorter than 128 bytes
		if err != nil {
			t.Fatalf("read answer to %s: %v", id, err)
		}
		if _, err := r.Discard(int(length)); err != nil {
			t.Fatalf("read answer to %s: %v", id, err)
		}
		kind = head >> 4
	}
}

// peak watches a node's memory until stop, which tells the most there was.
func peak(n *node) (stop func() int) {
	over, most := make(chan struct{}), make(chan int)
	go func() { // ends with stop, which waits
		highest, tick := 0, time.NewTicker(20*time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				highest = max(highest, n.memory())
			case <-over:
				most <- highest
				return
			}
		}
	}()
	return func() int { close(over); return <-most }
}

// Clients that never read, next to one that does: it gets everything, memory is bounded, and every message that was not
// delivered is counted.
func TestP6FaultDeafClients(t *testing.T) {
	const messages = 50_000
	bound := 64 << 20
	if raced {
		bound *= 3 // the race detector has a memory of its own
	}
	edge := standalone(t, "")
	for _, qos := range []byte{0, 1} {
		deaf(t, edge, fmt.Sprintf("deaf-%d", qos), "t/#", qos)
	}
	got := hear(t, edge.addr(), "healthy", "t/#")
	before, start := edge.status(), edge.memory()
	stop := peak(edge)
	pub := connect(t, edge, "sensor", packet.V5)
	began := time.Now()
	publishAll(t, pub, "t/q", messages)
	eventually(t, "the healthy client has everything", func() bool { return got.next.Load() == messages })
	took, most := time.Since(began), stop()
	if n := got.wrong.Load(); n > 0 {
		t.Errorf("got %d messages twice or out of order, want 0", n)
	}
	after := edge.status()
	counted := func() int { // what deaf-1 was sent and has not acknowledged is queued, too
		after = edge.status()
		return after.Out - before.Out + after.Queued - before.Queued + sumDrops(after) - sumDrops(before)
	}
	eventually(t, fmt.Sprintf("sent + queued + dropped = %d for three subscribers, %d of them twice", 3*messages, deafWindow), func() bool {
		return counted() == 3*messages+deafWindow
	})
	if grown := most - start; grown > bound {
		t.Errorf("got %d MiB more memory, want at most %d", grown>>20, bound>>20)
	}
	t.Logf("%d messages in %v; memory %d MiB, at most %d; sent %d, queued %d, drops %v", messages, took.Round(time.Millisecond),
		start>>20, most>>20, after.Out-before.Out, after.Queued-before.Queued, after.Drops)
}

func sumDrops(s status) (sum int) {
	for _, n := range s.Drops {
		sum += n
	}
	return sum
}

// hearing counts what a subscriber gets of messages numbered from 0 in their payload.
type hearing struct{ next, wrong atomic.Int64 }

func hear(t *testing.T, addr, id, filter string) *hearing {
	t.Helper()
	h := new(hearing)
	c := connectAs(t, mqttclient.Config{Addr: addr, ClientID: id, Clean: true, OnMessage: func(m *mqttclient.Message) {
		number, _, _ := strings.Cut(string(m.Payload), " ")
		if number == strconv.FormatInt(h.next.Load(), 10) {
			h.next.Add(1)
		} else {
			h.wrong.Add(1)
		}
	}})
	if _, err := c.Subscribe(t.Context(), packet.SubscribeFilter{Filter: filter, QoS: 1}); err != nil {
		t.Fatalf("subscribe %s: %v", id, err)
	}
	return h
}

// publishAll publishes numbered messages of 1,000 bytes at QoS 1 and waits until all are acknowledged.
func publishAll(t *testing.T, c *mqttclient.Client, topic string, messages int) {
	t.Helper()
	var acked sync.WaitGroup
	var failed atomic.Value
	body := strings.Repeat("x", 1000)
	for i := range messages {
		acked.Add(1)
		m := &mqttclient.Message{Topic: topic, Payload: []byte(strconv.Itoa(i) + " " + body), QoS: 1}
		if err := c.PublishAsync(m, func(_ packet.ReasonCode, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, err.Error())
			}
			acked.Done()
		}); err != nil {
			t.Fatalf("publish: %v", err)
		}
	}
	acked.Wait()
	if why := failed.Load(); why != nil {
		t.Fatalf("publish: %v", why)
	}
}

// 2,000 clients connect, subscribe, hear something and leave, many at a time and from many addresses, while publishing
// goes on: none of them is refused, and those that stay notice nothing.
func TestP8FaultStormsOfClients(t *testing.T) {
	edge := standalone(t, "")
	l := startLoad(t)
	for _, qos := range []byte{1, 2} {
		l.subscribe(taker{addr: edge.addr(), id: fmt.Sprintf("steady-%d", qos), filter: "news/#", qos: qos})
	}
	for _, qos := range []byte{1, 2} {
		l.publish(flow{addr: edge.addr(), id: fmt.Sprintf("sensor-%d", qos), topic: "news/x", qos: qos, pace: scaled(5*time.Millisecond, 25*time.Millisecond)}, "steady-1", "steady-2")
	}
	l.arrived()
	base := edge.status()
	for round := range scaled(3, 20) {
		began := time.Now()
		storm(t, edge.addr(), 2000, scaled(400, 2000))
		t.Logf("storm %d of 2,000 clients took %v", round, time.Since(began).Round(time.Millisecond))
	}
	eventually(t, "all of them are gone", func() bool {
		s := edge.status()
		return s.Clients == base.Clients && s.Subscriptions == base.Subscriptions
	})
	sum := l.settle(wait, edge)
	sum.check(t)
	sum.checkOnce(t)
}

// storm lets so many clients come and go, at most abreast of them at once.
func storm(t *testing.T, addr string, clients, abreast int) {
	t.Helper()
	var over sync.WaitGroup
	places := make(chan struct{}, abreast)
	for i := range clients {
		places <- struct{}{}
		over.Go(func() { // ends by itself within the bounds of visit
			defer func() { <-places }()
			if err := visit(addr, i); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	over.Wait()
}

// visit is one client's connection, from an address of its own among 127.0.1.0/24.
func visit(addr string, i int) error {
	heard := make(chan struct{})
	var once sync.Once
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%100))}}
	c, err := mqttclient.Dial(ctx, mqttclient.Config{Addr: addr, ClientID: fmt.Sprintf("visitor-%d", i), Clean: true,
		OnMessage: func(*mqttclient.Message) { once.Do(func() { close(heard) }) },
		Dial:      func(ctx context.Context, addr string) (net.Conn, error) { return from.DialContext(ctx, "tcp", addr) }})
	if err != nil {
		return err
	}
	if _, err := c.Subscribe(ctx, packet.SubscribeFilter{Filter: "news/#", QoS: byte(i % 3)}); err != nil {
		c.Abort()
		return fmt.Errorf("subscribe: %w", err)
	}
	select {
	case <-heard:
	case <-c.Done():
		return fmt.Errorf("connection lost: %w", c.Err())
	case <-ctx.Done():
		c.Abort()
		return fmt.Errorf("heard nothing within %v", wait)
	}
	return c.Disconnect(ctx)
}
