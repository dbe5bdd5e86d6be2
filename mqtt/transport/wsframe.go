package transport

import (
	"encoding/binary"
	"fmt"

	"github.com/gobwas/ws"
)

// maxControl is the most payload bytes of a ping, pong or close frame (RFC 6455, 5.5).
const maxControl = 125

// deframer takes the bytes of a WebSocket stream apart, in whatever pieces they come. It works in
// place: payload it returns lies in the bytes it was given, so it holds no more than a header.
//
//	0: fin 1 bit, reserved 3, opcode 4   1: mask 1, length 7 (126: 16 bits follow, 127: 64 bits)   mask key 4
type deframer struct {
	masked bool // whether frames must be masked: those of a client must, those of a server must not

	head     [ws.MaxHeaderSize]byte
	have     int    // bytes of head so far
	left     uint64 // payload bytes still to come of the frame begun
	op       ws.OpCode
	key      [4]byte
	at       int    // place in the payload, for the key; modulo 4
	fragment bool   // a message has begun whose last frame is still to come
	control  []byte // payload of the control frame begun
	inFrame  bool
}

// closeError is what makes us close: the status code to send, and why.
type closeError struct {
	code ws.StatusCode
	why  string
}

func (e *closeError) Error() string { return fmt.Sprintf("websocket: %s (close %d)", e.why, e.code) }

// next takes bytes from b until it has found something: payload of a binary message, or a whole
// control frame (control is true, payload is valid until the next call). rest is what it left. When
// nothing was found rest is empty and payload nil.
func (d *deframer) next(b []byte) (payload []byte, op ws.OpCode, control bool, rest []byte, err error) {
	for len(b) > 0 || d.inFrame && d.left == 0 {
		if !d.inFrame {
			if b, err = d.header(b); err != nil {
				return nil, 0, false, nil, err
			}
			continue
		}
		n := int(min(d.left, uint64(len(b))))
		payload, b = b[:n], b[n:]
		d.unmask(payload)
		d.left -= uint64(n)
		d.inFrame = d.left > 0
		if !d.op.IsControl() {
			if n == 0 {
				continue // an empty frame
			}
			return payload, d.op, false, b, nil
		}
		d.control = append(d.control, payload...)
		if !d.inFrame {
			return d.control, d.op, true, b, nil
		}
	}
	return nil, 0, false, nil, nil
}

func (d *deframer) unmask(payload []byte) {
	if d.masked && len(payload) > 0 {
		ws.Cipher(payload, d.key, d.at)
		d.at = (d.at + len(payload)) % 4
	}
}

// header collects the next frame's header; when it is whole the frame has begun.
func (d *deframer) header(b []byte) (rest []byte, err error) {
	for {
		need := headerSize(d.head[:d.have])
		if d.have == need {
			d.have = 0
			return b, d.begin()
		}
		if len(b) == 0 {
			return nil, nil
		}
		n := copy(d.head[d.have:need], b)
		d.have += n
		b = b[n:]
		if d.have == 2 {
			if err := d.checkStart(); err != nil {
				return nil, err
			}
		}
	}
}

// headerSize is the size of the header that begins with h, as far as it can be told.
func headerSize(h []byte) int {
	if len(h) < 2 {
		return 2
	}
	size := 2
	switch h[1] & 0x7F {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if h[1]&0x80 != 0 {
		size += 4
	}
	return size
}

// checkStart refuses a frame by its first two bytes.
func (d *deframer) checkStart() error {
	op, fin := ws.OpCode(d.head[0]&0x0F), d.head[0]&0x80 != 0
	switch {
	case d.head[0]&0x70 != 0:
		return &closeError{ws.StatusProtocolError, "reserved bits are set and no extension was agreed"}
	case op.IsReserved():
		return &closeError{ws.StatusProtocolError, fmt.Sprintf("opcode %#x is reserved", byte(op))}
	case (d.head[1]&0x80 != 0) != d.masked:
		return &closeError{ws.StatusProtocolError, fmt.Sprintf("masked frame: got %v, want %v", !d.masked, d.masked)}
	case op.IsControl() && (!fin || d.head[1]&0x7F > maxControl):
		return &closeError{ws.StatusProtocolError, "control frame is in pieces or above 125 bytes"}
	case op == ws.OpText: // [MQTT-6.0.0-1] [MQTT311-6.0.0-1]
		return &closeError{ws.StatusUnsupportedData, "text frame, MQTT needs binary frames"}
	case op == ws.OpContinuation && !d.fragment:
		return &closeError{ws.StatusProtocolError, "continuation without a beginning"}
	case op == ws.OpBinary && d.fragment:
		return &closeError{ws.StatusProtocolError, "a message begins inside another"}
	}
	return nil
}

// begin starts the frame whose header is in head.
func (d *deframer) begin() error {
	d.op = ws.OpCode(d.head[0] & 0x0F)
	at := 2
	switch n := d.head[1] & 0x7F; n {
	case 126:
		d.left = uint64(binary.BigEndian.Uint16(d.head[2:]))
		at = 4
	case 127:
		d.left = binary.BigEndian.Uint64(d.head[2:])
		at = 10
	default:
		d.left = uint64(n)
	}
	if d.left > 1<<63-1 {
		return &closeError{ws.StatusProtocolError, "frame length has its highest bit set"}
	}
	if !d.op.IsControl() {
		d.fragment = d.head[0]&0x80 == 0
	}
	copy(d.key[:], d.head[at:])
	d.at, d.inFrame, d.control = 0, true, d.control[:0]
	return nil
}

// appendHeader adds the header of a whole frame. A nil key leaves the frame unmasked.
func appendHeader(dst []byte, op ws.OpCode, length int, key []byte) []byte {
	var mask byte
	if key != nil {
		mask = 0x80
	}
	dst = append(dst, 0x80|byte(op))
	switch {
	case length <= maxControl:
		dst = append(dst, mask|byte(length))
	case length <= 0xFFFF:
		dst = append(dst, mask|126)
		dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	default:
		dst = append(dst, mask|127)
		dst = binary.BigEndian.AppendUint64(dst, uint64(length))
	}
	return append(dst, key...)
}
