package transport

import (
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gobwas/ws"
)

const (
	// closeGrace is how long Close tries to say goodbye with a close frame.
	closeGrace = 50 * time.Millisecond
	// maxJoined is the largest payload that is copied behind its header to make one write of two.
	maxJoined = 16 << 10
)

// joined are buffers for a header and its payload.
var joined = sync.Pool{New: func() any { b := make([]byte, 0, maxJoined+ws.MaxHeaderSize); return &b }}

// wsConn is a WebSocket connection as a stream of bytes: Read gives the payloads of binary messages
// one after the other, frame borders unseen [MQTT-6.0.0-2] [MQTT311-6.0.0-2]; each Write is one binary frame. Pings are
// answered and closing is done inside Read. It keeps no buffer: Read works in the caller's.
type wsConn struct {
	net.Conn // what carries the frames

	// One reader at a time.
	in      deframer
	rest    []byte // came with the handshake
	readErr error  // what every further Read answers

	client bool
	direct Conn // what carries the frames, where it is a Conn: header and payload leave in one system call

	wmu       sync.Mutex
	closeSent bool
	head      [ws.MaxHeaderSize]byte
	vec       [2][]byte
	bufs      net.Buffers
}

// newWSConn speaks frames over c from now on. rest is what was read already.
func newWSConn(c net.Conn, client bool, rest []byte) *wsConn {
	w := &wsConn{Conn: c, client: client, rest: rest, in: deframer{masked: !client}}
	w.direct, _ = c.(Conn)
	return w
}

// NetConn returns what carries the frames.
func (w *wsConn) NetConn() net.Conn { return w.Conn }

func (w *wsConn) unparked() string { return UnparkedWebSocket }

// Read implements net.Conn. After a close frame it answers io.EOF.
func (w *wsConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for w.readErr == nil {
		n, err := w.readBelow(p)
		n, protocolErr := w.unframe(p, n)
		w.readErr = protocolErr
		if n > 0 {
			return n, nil
		}
		if protocolErr == nil && err != nil {
			return 0, err // of the connection below: it says it again, or it was a deadline
		}
	}
	return 0, w.readErr
}

func (w *wsConn) readBelow(p []byte) (int, error) {
	if len(w.rest) == 0 {
		return w.Conn.Read(p)
	}
	n := copy(p, w.rest)
	if w.rest = w.rest[n:]; len(w.rest) == 0 {
		w.rest = nil
	}
	return n, nil
}

// unframe turns the n raw bytes in p into payload at the start of p.
func (w *wsConn) unframe(p []byte, n int) (out int, err error) {
	raw := p[:n]
	for {
		payload, op, control, rest, err := w.in.next(raw)
		raw = rest
		switch {
		case err != nil:
			return out, w.fail(err)
		case control:
			if err := w.handle(op, payload); err != nil {
				return out, err
			}
		case payload == nil:
			return out, nil
		default:
			out += copy(p[out:], payload)
		}
	}
}

// fail tells the peer why we stop.
func (w *wsConn) fail(err error) error {
	var ce *closeError
	if errors.As(err, &ce) {
		err = errors.Join(err, w.sendClose(ce.code))
	}
	return err
}

// handle answers a control frame. io.EOF = the peer closed.
func (w *wsConn) handle(op ws.OpCode, payload []byte) error {
	switch op {
	case ws.OpPing:
		w.wmu.Lock()
		defer w.wmu.Unlock()
		if w.closeSent {
			return nil
		}
		return w.writeFrame(ws.OpPong, payload)
	case ws.OpClose:
		code := ws.StatusNormalClosure
		if len(payload) >= 2 {
			code = ws.StatusCode(binary.BigEndian.Uint16(payload))
		}
		if len(payload) == 1 || !mayEcho(code) {
			code = ws.StatusProtocolError
		}
		// The peer may be gone already; its close is what counts.
		_ = w.sendClose(code)
		return io.EOF
	}
	return nil // pong
}

// mayEcho tells whether a peer may send this status code.
func mayEcho(code ws.StatusCode) bool {
	return code >= 1000 && code < 5000 && !code.IsProtocolReserved() && (code.IsProtocolDefined() || code >= 3000)
}

// Write implements net.Conn: p becomes one binary frame. Safe for concurrent use. p is not changed.
func (w *wsConn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	w.wmu.Lock()
	defer w.wmu.Unlock()
	if w.closeSent {
		return 0, net.ErrClosed
	}
	if err := w.writeFrame(ws.OpBinary, p); err != nil {
		w.closeSent = true // half a frame may have left: nothing can follow it
		return 0, err
	}
	return len(p), nil
}

// writeFrame writes one whole frame. wmu is held.
func (w *wsConn) writeFrame(op ws.OpCode, p []byte) error {
	switch {
	case w.client:
		return w.writeMasked(op, p)
	case w.direct != nil:
		return w.writeVector(op, p)
	case len(p) <= maxJoined:
		buf := joined.Get().(*[]byte)
		defer joined.Put(buf)
		_, err := w.Conn.Write(append(appendHeader((*buf)[:0], op, len(p), nil), p...))
		return err
	}
	if _, err := w.Conn.Write(appendHeader(w.head[:0], op, len(p), nil)); err != nil {
		return err
	}
	_, err := w.Conn.Write(p)
	return err
}

// writeVector writes header and payload with one system call and without a copy.
func (w *wsConn) writeVector(op ws.OpCode, p []byte) error {
	w.vec = [2][]byte{appendHeader(w.head[:0], op, len(p), nil), p}
	w.bufs = w.vec[:]
	_, err := w.direct.WriteBuffers(&w.bufs)
	w.vec = [2][]byte{}
	return err
}

// writeMasked writes a client's frame, masked in a copy.
func (w *wsConn) writeMasked(op ws.OpCode, p []byte) error {
	buf := joined.Get().(*[]byte)
	defer joined.Put(buf)
	dst := (*buf)[:0]
	if len(p) > maxJoined {
		dst = make([]byte, 0, len(p)+ws.MaxHeaderSize)
	}
	var key [4]byte
	binary.NativeEndian.PutUint32(key[:], rand.Uint32())
	dst = append(appendHeader(dst, op, len(p), key[:]), p...)
	ws.Cipher(dst[len(dst)-len(p):], key, 0)
	_, err := w.Conn.Write(dst)
	return err
}

// sendClose sends a close frame unless one was sent before.
func (w *wsConn) sendClose(code ws.StatusCode) error {
	w.wmu.Lock()
	defer w.wmu.Unlock()
	return w.sendCloseLocked(code)
}

func (w *wsConn) sendCloseLocked(code ws.StatusCode) error {
	if w.closeSent {
		return nil
	}
	w.closeSent = true
	return errors.Join(w.Conn.SetWriteDeadline(time.Now().Add(closeGrace)),
		w.writeFrame(ws.OpClose, binary.BigEndian.AppendUint16(nil, uint16(code))))
}

// Close implements net.Conn. It sends a close frame if that can be done at once, and unblocks Read and Write.
func (w *wsConn) Close() error {
	if w.wmu.TryLock() {
		_ = w.sendCloseLocked(ws.StatusNormalClosure) // a courtesy: the connection ends with or without it
		w.wmu.Unlock()
	}
	return w.Conn.Close()
}
