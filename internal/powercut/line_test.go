package powercut

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"mangrove/bridge"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
	"mangrove/mqtt/transport"
)

// line is the network between an edge and a core. A machine without power says nothing on it and hears nothing.
type line struct {
	edge, core *machine

	mu      sync.Mutex
	open    []*wire
	serving sync.WaitGroup
}

// dial is how the edge reaches the core.
func (l *line) dial(context.Context, string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	links := l.core.accepting()
	if l.core.gone() || links == nil {
		return nil, errors.New("the core does not answer")
	}
	up, down := newFlow(l.edge), newFlow(l.core)
	here, there := &wire{in: down, out: up}, &wire{in: up, out: down}
	l.open = append(l.open, here)
	l.serving.Go(func() { serve(there, links) }) // ends with the connection; cut waits
	return here, nil
}

// cut breaks every connection, and waits until the core has noticed.
func (l *line) cut() {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
	l.serving.Wait()
}

// flow is one direction of a connection.
type flow struct {
	from  *machine
	mu    sync.Mutex
	more  sync.Cond
	bytes []byte
	over  bool
}

func newFlow(from *machine) *flow {
	f := &flow{from: from}
	f.more.L = &f.mu
	return f
}

func (f *flow) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	f.more.Broadcast()
}

// wire is one end of a connection, with buffers that do not fill up.
type wire struct{ in, out *flow }

func (w *wire) Read(b []byte) (int, error) {
	f := w.in
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.bytes) == 0 && !f.over {
		f.more.Wait()
	}
	if f.over {
		return 0, io.EOF
	}
	n := copy(b, f.bytes)
	f.bytes = f.bytes[n:]
	return n, nil
}

func (w *wire) Write(b []byte) (int, error) {
	f := w.out
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.from.gone() {
		return 0, net.ErrClosed
	}
	f.bytes = append(f.bytes, b...)
	f.more.Broadcast()
	return len(b), nil
}

func (w *wire) Close() error {
	w.in.end()
	w.out.end()
	return nil
}

func (w *wire) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "line"} }
func (w *wire) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "line"} }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// carrier is the core's end of a link: as much of a broker as a link needs.
type carrier struct {
	*wire
	mu sync.Mutex
}

func (c *carrier) Frame(kind string, body []byte) error {
	return c.send(&packet.Publish{Topic: []byte(topic.LinkPrefix + kind), Payload: body})
}

func (c *carrier) send(p packet.Packet) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.Write(p.Append(nil, packet.V5))
	return err
}

// Moved implements mqtt.Carrier.
func (c *carrier) Moved() (transport.Moved, bool) { return transport.Moved{}, false }

// Close implements mqtt.Carrier.
func (c *carrier) Close(packet.ReasonCode) { c.wire.Close() }

// serve reads packets until the connection is over.
func serve(w *wire, links *bridge.Bridge) {
	defer w.Close()
	c := &carrier{wire: w}
	var end mqtt.LinkEnd
	var err error
	for buf, chunk := []byte(nil), make([]byte, 16<<10); err == nil; {
		var total, n int
		if total, _, _, err = packet.Frame(buf, 0); err != nil {
			break
		}
		if total == 0 {
			n, err = w.Read(chunk)
			buf = append(buf, chunk[:n]...)
			continue
		}
		var p packet.Packet
		if p, err = packet.Read(buf[:total], packet.V5); err == nil {
			err = c.handle(p, links, &end)
		}
		buf = buf[total:]
	}
	if end != nil {
		end.Closed(err)
	}
}

func (c *carrier) handle(p packet.Packet, links *bridge.Bridge, end *mqtt.LinkEnd) (err error) {
	switch p := p.(type) {
	case *packet.Connect:
		asked := p.Props.User[0] // mqtt.LinkProperty
		if *end, err = links.Accept(&mqtt.Client{ID: p.ClientID, Addr: c.RemoteAddr()}, asked.Value, c); err != nil {
			return err
		}
		answer := &packet.Properties{User: []packet.UserProperty{asked}}
		return c.send(&packet.Connack{Props: answer.Mark(packet.PropUser)})
	case *packet.Publish:
		return (*end).Frame(string(p.Topic)[len(topic.LinkPrefix):], p.Payload)
	case *packet.Pingreq:
		return c.send(&packet.Pingresp{})
	case *packet.Disconnect:
		return io.EOF
	}
	return nil
}
