package session

import (
	"sort"

	"mangrove/mqtt"
)

// entry is one message in memory that the client is owed.
type entry struct {
	seq    uint64        // its place in the queue; the packet id follows from it
	body   uint64        // id in the body store; 0 once released
	msg    *mqtt.Message // nil when only the store has it, or it is not needed any more
	ids    []uint32      // subscription identifiers; shared, read only
	until  int64         // when it expires, in stored time; 0 = never
	group  string        // the shared subscription it came through; "" = none
	size   int32         // bytes it counts in the queue
	qos    byte
	retain bool
	state  state
	traits traits
}

// traits are what else is known of an entry.
type traits byte

const (
	maybeSent traits = 1 << iota // whether it was sent before the last restart is not known
	keeps                        // it does not give way to later ones: see overflow.Rules.Keeps
)

func (e *entry) has(t traits) bool { return e.traits&t != 0 }

// inherited reports whether a message of an ended session may go to another member of the group it came through, given
// which ones may have been sent: QoS 1 always, the others only before that; QoS 2 that has begun is completed with its
// session or ends with it. What was acknowledged, with an error too, is not there any more. [MQTT-4.8.2-4]
// [MQTT-4.8.2-5] [MQTT-4.8.2-6]
func (e *entry) inherited(sent uint64) bool {
	return e.group != "" && e.state != released && (e.qos == 1 || e.seq >= sent)
}

// state of an entry:
//
//	writing ─stored→ ready ─PUBLISH→ sent ─PUBACK→ gone
//	                                 sent ─PUBREC→ releasing ─stable→ released ─PUBREL, PUBCOMP→ gone
type state byte

const (
	writing   state = iota // its record is not stable yet
	ready                  // may be sent
	sent                   // PUBLISH left; PUBACK or PUBREC is awaited
	releasing              // PUBREC came, which is not stable yet
	released               // PUBREL may leave; PUBCOMP is awaited
)

// ring holds entries in the order of seq. The zero ring is empty and owns no memory.
type ring struct {
	buf  []entry // length is a power of two
	head uint32
	n    uint32
}

func (r *ring) len() int { return int(r.n) }

func (r *ring) at(i int) *entry {
	return &r.buf[(r.head+uint32(i))&uint32(len(r.buf)-1)]
}

func (r *ring) push(e entry) {
	if int(r.n) == len(r.buf) {
		r.grow()
	}
	r.n++
	*r.at(int(r.n) - 1) = e
}

func (r *ring) grow() {
	buf := make([]entry, max(8, 2*len(r.buf)))
	for i := range r.len() {
		buf[i] = *r.at(i)
	}
	r.buf, r.head = buf, 0
}

// pop takes the newest entry off.
func (r *ring) pop() entry {
	e := r.at(int(r.n) - 1)
	v := *e
	*e = entry{}
	r.n--
	return v
}

// remove takes entry i out and keeps the order; cheap near the front, where acknowledgements hit.
func (r *ring) remove(i int) {
	for ; i > 0; i-- {
		*r.at(i) = *r.at(i - 1)
	}
	*r.at(0) = entry{}
	r.head++
	r.n--
}

// find is the index of seq, or -1.
func (r *ring) find(seq uint64) int {
	i := sort.Search(r.len(), func(i int) bool { return r.at(i).seq >= seq })
	if i < r.len() && r.at(i).seq == seq {
		return i
	}
	return -1
}

// free gives the memory of an empty ring back.
func (r *ring) free() {
	if r.n == 0 {
		*r = ring{}
	}
}
