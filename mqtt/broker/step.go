package broker

import (
	"sync"

	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// readBuffer is the bytes taken per read, enough for many small packets.
const readBuffer = 16 << 10

// step is what a connection needs while it handles the packets of one read. Idle connections have none.
type step struct {
	buf   []byte // storage
	start int    // buf[start:end] was read and not handled
	end   int

	publish  packet.Publish
	ack      packet.Ack
	received tally // PUBLISH packets
	loan     mqtt.Loan

	batch  *batch.Batch  // shared by the publishes of the step
	qos0   *mqtt.Receipt // shared by those of QoS 0: nobody waits for it
	waited bool          // a receipt of QoS>=1 may wait for batch
	slack  batch.Slack   // the least of those receipts
}

// stepPool keeps steps for the connections of one Server, whose batches are of one store.
type stepPool struct {
	pool     sync.Pool
	newBatch func() *batch.Batch
}

func (p *stepPool) get() *step {
	if s, ok := p.pool.Get().(*step); ok {
		return s
	}
	s := &step{buf: make([]byte, readBuffer)}
	p.renew(s)
	return s
}

// renew gives s a batch that nothing was written to.
func (p *stepPool) renew(s *step) {
	s.batch, s.waited, s.slack = p.newBatch(), false, batch.Unsynced
	s.qos0 = mqtt.NewReceipt(s.batch, nil)
}

func (p *stepPool) put(s *step) {
	if cap(s.buf) > maxPooled {
		return
	}
	s.start, s.end = 0, 0
	s.publish, s.ack = packet.Publish{}, packet.Ack{}
	p.pool.Put(s)
}

func (s *step) data() []byte { return s.buf[s.start:s.end] }

// makeRoom makes space to read more of a packet of want bytes. The buffer grows as the bytes come, not
// as they are announced.
func (s *step) makeRoom(want int) {
	if s.start > 0 {
		s.end = copy(s.buf, s.data())
		s.start = 0
	}
	if s.end < len(s.buf) {
		return
	}
	grown := make([]byte, min(2*len(s.buf), max(want, readBuffer)))
	copy(grown, s.buf[:s.end])
	s.buf = grown
}
