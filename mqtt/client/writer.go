package client

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt/packet"
)

const (
	// maxOutput is how many bytes may wait to be written before senders wait too. Acknowledgements and
	// pings do not wait; they are bounded by what they answer.
	maxOutput = 256 << 10
	// keptBuffer is the largest buffer that goes back into the pool.
	keptBuffer = 64 << 10
	// firstBuffer is the size of new ones.
	firstBuffer = 4 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, firstBuffer); return &b }}

func takeBuffer() []byte { return *buffers.Get().(*[]byte) }

func dropBuffer(b []byte) {
	if cap(b) >= firstBuffer && cap(b) <= keptBuffer {
		b = b[:cap(b)]
		buffers.Put(&b)
	}
}

// writer collects packets and writes all that is there with one system call. Its goroutine lives
// while there is something to write.
type writer struct {
	conn      net.Conn
	fail      func(error)
	start     time.Time      // the client's
	last      atomic.Int64   // when a write ended last, since start
	maxPacket uint32         // the server's Maximum Packet Size, 0 = no bound; set before the first packet
	running   sync.WaitGroup // the goroutine; waited for by Client.ended

	mu      sync.Mutex
	buf     []byte
	inHand  int           // bytes that were taken out of buf and may not be written yet
	active  bool          // the goroutine is there
	ending  bool          // nothing more is taken; the connection is closed behind what is in buf
	room    chan struct{} // closed when buf was taken to be written; nil = nobody waits
	publish packet.Publish
}

func (w *writer) init(c *Client) { w.conn, w.fail, w.start = c.conn, c.fail, c.start }

// packet appends p. It does not wait. ErrTooLarge = p was not taken.
func (w *writer) packet(p packet.Packet, v packet.Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return ErrClosed
	}
	w.prepareLocked()
	return w.checkLocked(p.Append(w.buf, v))
}

// message appends a PUBLISH of m. It does not wait.
func (w *writer) message(m *Message, id uint16, dup bool, v packet.Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return ErrClosed
	}
	w.prepareLocked()
	w.publish = packet.Publish{Dup: dup, QoS: m.QoS, Retain: m.Retain, Topic: append(w.publish.Topic[:0], m.Topic...),
		PacketID: id, Props: m.Props, Payload: m.Payload}
	err := w.checkLocked(w.publish.Append(w.buf, v))
	w.publish = packet.Publish{Topic: w.publish.Topic}
	return err
}

func (w *writer) prepareLocked() {
	if w.buf == nil {
		w.buf = takeBuffer()[:0]
	}
}

// checkLocked takes the packet that stands in grown behind buf, if it may be sent.
func (w *writer) checkLocked(grown []byte) error {
	if w.maxPacket > 0 && uint64(len(grown)-len(w.buf)) > uint64(w.maxPacket) { // [MQTT-3.2.2-15]
		return ErrTooLarge
	}
	w.buf = grown
	w.startLocked()
	return nil
}

func (w *writer) startLocked() {
	if !w.active {
		w.active = true
		w.running.Go(w.run)
	}
}

// full answers nil when there is room for more, else a channel that is closed when there may be.
func (w *writer) full() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.buf) < maxOutput {
		return nil
	}
	if w.room == nil {
		w.room = make(chan struct{})
	}
	return w.room
}

// run writes until nothing is left.
func (w *writer) run() {
	for {
		out := w.take()
		if out == nil {
			return
		}
		if _, err := w.conn.Write(out); err != nil {
			w.fail(err)
			w.discard()
			return
		}
		w.last.Store(int64(time.Since(w.start)))
		dropBuffer(out)
	}
}

// take answers nil, and the goroutine is to end, when there is nothing to write.
func (w *writer) take() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.buf
	w.buf, w.inHand = nil, len(out)
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
	if len(out) > 0 {
		return out
	}
	w.active = false
	if w.ending {
		w.hangUp()
	}
	return nil
}

// hangUp leaves the connection to the server to close: closing it here could overtake DISCONNECT.
func (w *writer) hangUp() {
	if err := w.conn.SetReadDeadline(time.Now().Add(closeGrace)); err != nil {
		w.fail(err)
		return
	}
	if half, ok := w.conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			w.fail(err)
		}
	}
}

// discard ends the writer of a broken connection.
func (w *writer) discard() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending, w.active, w.buf = true, false, nil
	if w.room != nil {
		close(w.room)
		w.room = nil
	}
}

// finish appends last and lets nothing follow it. The connection ends when all is written, at the
// latest after closeGrace.
func (w *writer) finish(last packet.Packet, v packet.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return
	}
	w.ending = true
	if err := w.conn.SetWriteDeadline(time.Now().Add(closeGrace)); err != nil {
		w.fail(err)
		return
	}
	w.prepareLocked()
	w.buf = last.Append(w.buf, v)
	w.startLocked()
}

// ends reports whether finish was called or writing has failed.
func (w *writer) ends() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ending
}

// waiting is how many bytes the kernel may not have yet.
func (w *writer) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.buf) + w.inHand
}
