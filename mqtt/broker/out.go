package broker

import (
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt/packet"
)

// maxPooled is the size from which on an output buffer is left to the garbage collector.
const maxPooled = 64 << 10

// lookEvery is how many times the writer starts at once, packets having come one by one, before it looks whether they
// would come together if it waited.
const lookEvery = 16

var outBuffers = sync.Pool{New: func() any { return new(outBuffer) }}

// outBuffer is bytes on their way to one client.
type outBuffer struct{ b []byte }

// out is a connection's output: packets are appended to ready from any goroutine, and a writer that
// runs only while there is something to write takes all of it per write.
//
//	append ─→ ready ──(writer takes all)──→ inHand ──Write──→ net.Conn
//	           └────────── at most max bytes together, and one packet ──────────┘
//
//	open ──shut──→ closing ──(last byte written, or CloseTimeout)──→ closed
type out struct {
	nc      net.Conn
	max     int    // bytes that may wait
	limit   uint32 // bytes of a packet that the client takes, 0 = no bound; set before the first packet
	metrics *serverMetrics
	owner   *conn
	clock   *atomic.Uint32 // the wheel's
	began   atomic.Uint32  // tick in which the running write began; 0 = none

	mu      sync.Mutex
	changed sync.Cond // on any change somebody may wait for: bytes written, closing, writer gone

	// What waits.
	ready         *outBuffer // nil while empty
	packets       int        // in ready
	sent          tally      // of them PUBLISH
	beforeConnack []byte     // packets queued by a link that is being accepted; sent right after CONNACK
	greetFirst    bool       // packets go to beforeConnack
	held          bool       // the reader is in a step and will flush after it
	full          bool       // somebody was turned away since the last Resume

	// The writer.
	writing bool   // it runs
	inHand  int    // bytes that it has taken and not written
	writes  uint64 // finished
	burst   bool   // the last write had more than one packet
	starts  uint8  // since it last let others go first

	// The end.
	closing bool // nothing more is taken
	linger  bool // the writer leaves nc open for the reader to end
	dead    bool // nc failed or was closed
}

func (o *out) init(nc net.Conn, max int, m *serverMetrics, clock *atomic.Uint32, owner *conn) {
	o.nc, o.max, o.metrics, o.clock, o.owner = nc, max, m, clock, owner
	o.changed.L = &o.mu
}

// pendingLocked is the number of bytes not written yet.
func (o *out) pendingLocked() int {
	if o.ready == nil {
		return o.inHand + len(o.beforeConnack)
	}
	return o.inHand + len(o.beforeConnack) + len(o.ready.b)
}

// pending is the number of bytes that the kernel may not have yet.
func (o *out) pending() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pendingLocked()
}

// spaceLocked returns where to append a packet; o.appendedLocked must follow.
func (o *out) spaceLocked() *outBuffer {
	if o.ready == nil {
		o.ready = outBuffers.Get().(*outBuffer)
	}
	return o.ready
}

func (o *out) appendedLocked() {
	o.packets++
	if !o.held {
		o.startWriterLocked()
	}
}

// startWriterLocked starts the writer unless it runs. The connection owns it: it ends when there is nothing
// left to write, and join awaits it.
func (o *out) startWriterLocked() {
	if o.writing || o.dead || (o.ready == nil && !o.closing) {
		return
	}
	o.writing = true
	if o.starts++; o.burst || o.starts >= lookEvery {
		o.starts = 0
		go o.writeLater()
		return
	}
	go o.write() // where packets come one by one, waiting would only make each of them late
}

// send appends a packet that may always go: acknowledgements are bounded by what was read, and
// reading stops above the bound. It does nothing once the connection is closing. false = p is larger than
// the client takes, even without what only explains.
func (o *out) send(p packet.Packet, v packet.Version) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sendLocked(p, v)
}

func (o *out) sendLocked(p packet.Packet, v packet.Version) (ok bool) {
	if o.closing {
		return true
	}
	if o.greetFirst {
		o.beforeConnack, ok = appendFit(o.beforeConnack, p, v, o.limit)
		return ok
	}
	s := o.spaceLocked()
	if s.b, ok = appendFit(s.b, p, v, o.limit); ok {
		o.appendedLocked()
	}
	return ok
}

// ack is send for an acknowledgement that says nothing but Success: four bytes, less than any client takes.
func (o *out) ack(kind packet.Type, id uint16, v packet.Version) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing || o.greetFirst { // nothing is acknowledged before CONNACK
		return
	}
	p := packet.Ack{Kind: kind, PacketID: id}
	s := o.spaceLocked()
	s.b = p.Append(s.b, v)
	o.appendedLocked()
}

// awaitConnack(true) makes packets wait for greet; awaitConnack(false) forgets them.
func (o *out) awaitConnack(yes bool) {
	o.mu.Lock()
	o.greetFirst, o.beforeConnack = yes, nil
	o.mu.Unlock()
}

// greet sends CONNACK, and after it the packets that waited for it.
func (o *out) greet(p *packet.Connack, v packet.Version) {
	o.mu.Lock()
	defer o.mu.Unlock()
	waited := o.beforeConnack
	o.greetFirst, o.beforeConnack = false, nil
	o.sendLocked(p, v)
	if len(waited) > 0 && !o.closing {
		s := o.spaceLocked()
		s.b = append(s.b, waited...)
		o.appendedLocked()
	}
}

// hold keeps the writer from starting until flush, so that the packets of one step leave together.
func (o *out) hold() {
	o.mu.Lock()
	o.held = true
	o.mu.Unlock()
}

func (o *out) flush() {
	o.mu.Lock()
	o.held = false
	o.startWriterLocked()
	o.mu.Unlock()
}

// waitRoom waits until fewer than max bytes are waiting; false = the connection is closing.
func (o *out) waitRoom() bool {
	return o.waitWhile(func(bool) bool { return o.pendingLocked() >= o.max })
}

// waitTurn is waitRoom for the reader, whose answers may always be appended: one finished write is
// enough, for it took all that was waiting before. So a client that is sent more than it can
// take is still heard.
func (o *out) waitTurn() bool {
	return o.waitWhile(func(wrote bool) bool { return o.pendingLocked() >= o.max && !wrote })
}

// waitLow is waitRoom for one who has much to send: until fewer than low bytes are waiting, too, or one write has ended, so that
// others who send all the time do not keep it waiting for ever.
func (o *out) waitLow(low int) bool {
	return o.waitWhile(func(wrote bool) bool {
		n := o.pendingLocked()
		return n >= o.max || n >= low && !wrote
	})
}

// waitWhile waits as long as busy, which is called with the lock held after each signal and told whether a write has ended
// since the beginning; false = the connection is closing.
func (o *out) waitWhile(busy func(wrote bool) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for began := o.writes; !o.closing && busy(o.writes != began); {
		o.changed.Wait()
	}
	return !o.closing
}

// signal makes waitWhile look again.
func (o *out) signal() {
	o.mu.Lock()
	o.changed.Broadcast()
	o.mu.Unlock()
}

// shut takes no more packets and ends the connection once what is waiting has been written, which
// may take patience. last, when not nil, is the packet to end with. [MQTT-3.14.4-1] [MQTT-3.14.4-2] With linger the reader ends it.
// Only the first call counts.
func (o *out) shut(last packet.Packet, v packet.Version, patience time.Duration, linger bool) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	if last != nil {
		s := o.spaceLocked()
		s.b, _ = appendFit(s.b, last, v, o.limit) // too large for the client: it ends without a word
	}
	o.closing, o.linger, o.held = true, linger, false
	o.nc.SetWriteDeadline(time.Now().Add(patience)) // an error means that it is closed already
	o.startWriterLocked()
	o.changed.Broadcast()
	return true
}

// isClosing tells that shut was called.
func (o *out) isClosing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing
}

// join waits until the connection is closing and its writer has ended.
func (o *out) join() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.writing || !o.closing {
		o.changed.Wait()
	}
	o.ready = nil
}

// writeLater is write after the goroutine that appended, and others that are about to, have added to it.
func (o *out) writeLater() {
	runtime.Gosched()
	o.write()
}

// write is the writer.
func (o *out) write() {
	for {
		buf, last := o.take()
		if last {
			o.nc.Close() // wakes the reader; an error means that it is closed already
			o.end()
		}
		if buf == nil {
			return
		}
		o.began.Store(o.clock.Load())
		n, err := o.nc.Write(buf.b)
		o.began.Store(0)
		o.metrics.bytesOut.Add(n)
		if o.wrote(buf, err) {
			o.owner.outputHasRoom()
		}
	}
}

// take hands the waiting bytes to the writer. nil ends it; last says that it has to close the
// connection, without the lock: that may take a while.
func (o *out) take() (buf *outBuffer, last bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ready != nil && !o.dead {
		buf := o.ready
		o.ready, o.inHand = nil, len(buf.b)
		o.metrics.packetsOut.Add(o.packets)
		o.sent.addTo(&o.metrics.sent)
		o.burst = o.packets > 1
		o.packets = 0
		return buf, false
	}
	if o.closing && !o.linger {
		o.dead = true
		return nil, true
	}
	o.writing = false
	o.changed.Broadcast()
	return nil, false
}

func (o *out) end() {
	o.mu.Lock()
	o.writing = false
	o.changed.Broadcast()
	o.mu.Unlock()
}

// wrote notes the end of a write and reports whether somebody who was turned away can go on.
func (o *out) wrote(buf *outBuffer, err error) (hasRoom bool) {
	recycle(buf)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inHand = 0
	o.writes++
	if err != nil {
		o.dead, o.closing, o.linger, o.ready = true, true, false, nil
	}
	o.changed.Broadcast()
	hasRoom = o.full && !o.closing && o.pendingLocked() <= o.max/2
	if hasRoom {
		o.full = false
	}
	return hasRoom
}

func recycle(buf *outBuffer) {
	if cap(buf.b) > maxPooled {
		return
	}
	buf.b = buf.b[:0]
	outBuffers.Put(buf)
}
