package bench

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// relay is a broker for tests that can be told to do wrong. It keeps nothing.
type relay struct {
	t      *testing.T
	ln     net.Listener
	fault  func(seq uint64) int // how often message seq is delivered; nil = once
	swap   bool                 // deliver 5 after 6
	refuse packet.ReasonCode    // of CONNECT
	away   func(n int) bool     // whether connection n is closed at once; nil = none is
	secret *tls.Config          // nil = no TLS

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
	subs  map[*relayConn]string // its last filter
	held  []byte
}

// relayConn is one client, on a goroutine of its own that ends with the connection.
type relayConn struct {
	r    *relay
	nc   net.Conn
	v    packet.Version
	next uint16
}

func startRelay(t *testing.T, r *relay) *relay {
	t.Helper()
	var err error
	if r.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	if r.secret != nil {
		r.ln = tls.NewListener(r.ln, r.secret)
	}
	r.t, r.subs = t, map[*relayConn]string{}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		r.ln.Close()
		r.mu.Lock()
		for _, nc := range r.conns {
			nc.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

func (r *relay) addr() string { return r.ln.Addr().String() }

func (r *relay) accept() {
	for {
		nc, err := r.ln.Accept()
		if err != nil {
			return // closed
		}
		r.mu.Lock()
		n := len(r.conns)
		r.conns = append(r.conns, nc)
		r.mu.Unlock()
		if r.away != nil && r.away(n) {
			nc.Close()
			continue
		}
		c := &relayConn{r: r, nc: nc, v: packet.V311}
		r.wg.Go(c.serve)
	}
}

func (c *relayConn) serve() {
	defer func() {
		c.r.mu.Lock()
		delete(c.r.subs, c)
		c.r.mu.Unlock()
		c.nc.Close()
	}()
	in := bufio.NewReader(c.nc)
	for {
		p, err := readPacket(in, c.v)
		if err != nil {
			return
		}
		c.r.mu.Lock()
		c.handle(p)
		c.r.mu.Unlock()
	}
}

func readPacket(in *bufio.Reader, v packet.Version) (packet.Packet, error) {
	for n := 2; ; n++ {
		head, err := in.Peek(n)
		if err != nil {
			return nil, err
		}
		_, _, want, err := packet.Frame(head, 0)
		if err != nil {
			return nil, err
		}
		if want > 0 {
			whole := make([]byte, want)
			if _, err := io.ReadFull(in, whole); err != nil {
				return nil, err
			}
			return packet.Read(whole, v)
		}
	}
}

func (c *relayConn) handle(p packet.Packet) {
	switch p := p.(type) {
	case *packet.Connect:
		c.v = p.Version
		c.write(&packet.Connack{Reason: c.r.refuse, SessionPresent: !p.CleanStart})
	case *packet.Pingreq:
		c.write(&packet.Pingresp{})
	case *packet.Subscribe:
		c.r.subs[c] = p.Filters[0].Filter
		c.write(&packet.Suback{PacketID: p.PacketID, Reasons: []packet.ReasonCode{packet.ReasonCode(p.Filters[0].QoS)}})
	case *packet.Publish:
		switch p.QoS {
		case 1:
			c.write(&packet.Ack{Kind: packet.PUBACK, PacketID: p.PacketID})
		case 2:
			c.write(&packet.Ack{Kind: packet.PUBREC, PacketID: p.PacketID})
		}
		c.r.relay(p)
	case *packet.Ack:
		switch p.Kind {
		case packet.PUBREL:
			c.write(&packet.Ack{Kind: packet.PUBCOMP, PacketID: p.PacketID})
		case packet.PUBREC:
			c.write(&packet.Ack{Kind: packet.PUBREL, PacketID: p.PacketID})
		}
	}
}

func (r *relay) relay(p *packet.Publish) {
	m, _ := readStamp(p.Payload)
	times := 1
	if r.fault != nil {
		times = r.fault(m.seq)
	}
	for c, filter := range r.subs {
		if !topic.Match(filter, string(p.Topic)) {
			continue
		}
		for range times {
			c.deliver(p, m.seq)
		}
	}
}

func (c *relayConn) deliver(p *packet.Publish, seq uint64) {
	c.next = c.next%60000 + 1
	out := *p
	if out.QoS > 0 {
		out.PacketID = c.next
	}
	switch {
	case c.r.swap && seq == 5:
		c.r.held = out.Append(nil, c.v)
		return
	case c.r.swap && seq == 6:
		c.write(&out)
		c.nc.Write(c.r.held) // an error ends the reader
		return
	}
	c.write(&out)
}

func (c *relayConn) write(p packet.Packet) { c.nc.Write(p.Append(nil, c.v)) } // an error ends the reader
