package remote

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"github.com/eclipse/paho.golang/packets"
)

// wire is the connection under paho. paho locks it for each packet (it is a sync.Locker); writes are gathered and leave
// with Unlock, or with flush while they are held. Reads are buffered, and each packet's header is looked at
// before paho allocates for it.
type wire struct {
	net.Conn
	in        *bufio.Reader // one reader: paho's
	maxPacket int
	left      int // bytes of the packet that is being read
	header    []byte
	pongs     atomic.Uint32 // PINGRESP packets that came

	marksMu sync.Mutex
	marks   []int // subscription identifiers of each PUBLISH that was read and not yet given to OnMessage; as countMarks

	mu      sync.Mutex // the lock of Lock
	out     []byte
	holding bool

	errMu sync.Mutex
	err   error // the first of reading or writing
}

const (
	readBuffer  = 16 << 10
	writeBuffer = 64 << 10 // above it even held writes leave
)

// errTooLarge and errHeader end a connection.
var (
	errTooLarge = errors.New("packet is larger than allowed")
	errHeader   = errors.New("packet length has more than four bytes")
)

func newWire(conn net.Conn, maxPacket int) *wire {
	return &wire{Conn: conn, in: bufio.NewReaderSize(conn, readBuffer), maxPacket: maxPacket}
}

// NetConn shows what is below to who asks the kernel for it.
func (w *wire) NetConn() net.Conn { return w.Conn }

// Lock implements sync.Locker: paho takes it around each packet.
func (w *wire) Lock() { w.mu.Lock() }

// Unlock implements sync.Locker.
func (w *wire) Unlock() {
	if !w.holding || len(w.out) >= writeBuffer {
		w.flushLocked()
	}
	w.mu.Unlock()
}

// Write implements net.Conn; the caller holds the lock. An error of an earlier flush is told here.
func (w *wire) Write(b []byte) (int, error) {
	if err := w.why(); err != nil {
		return 0, err
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

// hold gathers packets until flush.
func (w *wire) hold() {
	w.mu.Lock()
	w.holding = true
	w.mu.Unlock()
}

func (w *wire) flush() error {
	w.mu.Lock()
	w.holding = false
	w.flushLocked()
	w.mu.Unlock()
	return w.why()
}

// flushLocked writes what was gathered. An error ends the connection: packets of others may be among it.
func (w *wire) flushLocked() {
	if len(w.out) == 0 {
		return
	}
	_, err := w.Conn.Write(w.out)
	w.out = w.out[:0]
	if cap(w.out) > 4*writeBuffer {
		w.out = nil
	}
	if err != nil {
		w.note(fmt.Errorf("write to broker: %w", err))
		w.Close()
	}
}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (int, error) {
	n, err := w.read(b)
	if err != nil {
		w.note(fmt.Errorf("read from broker: %w", err))
	}
	return n, err
}

func (w *wire) read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	if w.left == 0 && len(w.header) == 0 {
		if err := w.next(); err != nil {
			return 0, err
		}
	}
	if len(w.header) > 0 {
		n = copy(b, w.header)
		w.header = w.header[n:]
		return n, nil
	}
	n, err = w.in.Read(b[:min(len(b), w.left)])
	w.left -= n
	return n, err
}

// next reads a fixed header: type and flags, then 1 to 4 bytes of length [MQTT-2.1.4].
func (w *wire) next() error {
	kind, err := w.in.ReadByte()
	if err != nil {
		return err
	}
	header, length := []byte{kind}, 0
	for shift := 0; ; shift += 7 {
		if shift == 28 {
			return errHeader
		}
		digit, err := w.in.ReadByte()
		if err != nil {
			return noEOF(err)
		}
		header = append(header, digit)
		length |= int(digit&0x7F) << shift
		if digit < 0x80 {
			break
		}
	}
	if len(header)+length > w.maxPacket {
		return fmt.Errorf("%w: %d bytes, %d are", errTooLarge, len(header)+length, w.maxPacket)
	}
	w.header, w.left = header, length
	switch kind >> 4 {
	case packets.PUBLISH:
		return w.countMarks(kind >> 1 & 3)
	case packets.PINGRESP:
		w.pongs.Add(1)
	}
	return nil
}

// countMarks looks at the beginning of a PUBLISH without taking it.
func (w *wire) countMarks(qos byte) error {
	b, err := w.in.Peek(min(w.left, readBuffer))
	if err != nil {
		return noEOF(err)
	}
	n := countMarks(b, qos)
	w.marksMu.Lock()
	defer w.marksMu.Unlock()
	w.marks = append(w.marks, n) // bounded by Receive Maximum and QoS 0 messages that paho takes before it waits
	return nil
}

// nextMarks is countMarks of the PUBLISH that OnMessage gets next.
func (w *wire) nextMarks() (n int) {
	w.marksMu.Lock()
	defer w.marksMu.Unlock()
	if len(w.marks) == 0 {
		return 0
	}
	n = w.marks[0]
	w.marks = w.marks[1:]
	return n
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// note keeps the first error; that the connection is closed says nothing about why.
func (w *wire) note(err error) {
	if errors.Is(err, net.ErrClosed) {
		return
	}
	w.errMu.Lock()
	defer w.errMu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

// why is the first error; nil when there was none.
func (w *wire) why() error {
	w.errMu.Lock()
	defer w.errMu.Unlock()
	return w.err
}
