package session

import (
	"slices"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// maxIDs is how many packet identifiers there are. An entry's id is seq % maxIDs + 1, so ids are
// unique while the entries in flight span fewer sequence numbers than this. [MQTT-2.2.1-4]
// [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT311-2.3.1-4]
const maxIDs = 65535

func packetID(seq uint64) uint16 { return uint16(seq%maxIDs) + 1 }

// world is what outbound can make happen.
type world interface {
	// publish hands e to the connection. id is 0 at QoS 0.
	publish(e *entry, id uint16, dup bool) mqtt.SendResult
	ack(kind packet.Type, id uint16, reason packet.ReasonCode)
	// release keeps that PUBREC came for e; stable says that it is kept already, else
	// outbound.released tells it later.
	release(e *entry) (stable bool)
	// done forgets e's record: acknowledged, or dropped for a reason.
	done(e *entry, how outcome)
	expired(m *mqtt.Message) bool
	// fetch asks for outbound.loaded or outbound.fetched to be called some time.
	fetch()
}

// outcome is how a message ended: it was delivered, or why it will not be.
type outcome byte

// outbound is what one client is still owed, in order. Pure: no clock, no I/O. Not safe for concurrent use.
//
//	     win (in memory)                                  tail (on disk only)
//	├── live ───────┼─ to send again ─┼─ to be sent ──┤├───────────────────────┤
//	sent on this        seq < sent        seq >= sent   end                   next
//	connection
type outbound struct {
	win  ring
	live int    // entries at the front that were sent on this connection; at most window
	next uint64 // seq of the next message
	sent uint64 // messages below it may have been sent
	end  uint64 // messages from it on are in the tail

	maybeSent uint64    // the node died while the client was connected: messages below may have been sent or not
	tail      int       // number of messages in the tail
	pending   []unknown // messages of the tail whose record is not stable yet, by seq

	count int   // messages in win and tail
	bytes int64 // sizes of those, added up
	held  int   // bytes of messages that win keeps in memory

	lim      *limits
	window   int  // messages the client takes before it acknowledges; 0 = not connected
	running  bool // the connection takes packets
	blocked  bool // the connection's output buffer is full
	memory   bool // nothing is on disk: there is no tail
	keep     bool // sent messages stay in memory, to be sent again on another connection
	cutting  bool // records are being cut out of the tail, which is not read meanwhile
	hopeless bool // the store failed; the tail is not read before the next connection
}

// limits is what one session may hold in memory.
type limits struct {
	messages int // unsent, at most
	bytes    int // of messages in memory; at least one message is held
}

// unknown is a message in the tail before its record is stable.
type unknown struct {
	seq  uint64
	size int32
}

// nextSeq gives out the next place in the queue.
func (o *outbound) nextSeq() uint64 {
	seq := max(o.next, 1)
	o.next = seq + 1
	return seq
}

// add puts a new message at the end of the queue; its seq is from id. It is kept in memory when it
// would be sent soon, else only the record it has, or will have, in the store stands for it.
func (o *outbound) add(e entry) {
	o.count++
	o.bytes += int64(e.size)
	if o.memory || o.window > 0 && o.tail == 0 && o.fits(int(e.size)) {
		o.end = e.seq + 1
		o.push(e)
		return
	}
	o.tail++
	o.pending = append(o.pending, unknown{e.seq, e.size})
}

func (o *outbound) push(e entry) {
	if e.msg != nil {
		o.held += int(e.size)
	}
	o.win.push(e)
}

// own replaces the newest message, if it is seq and in memory, by a copy that outlives the publish (see mqtt.Loan).
func (o *outbound) own(seq uint64) {
	if o.win.len() == 0 {
		return
	}
	if e := o.win.at(o.win.len() - 1); e.seq == seq && e.msg != nil {
		e.msg = e.msg.Kept()
	}
}

// fits reports whether one more message of that size may be held in memory.
func (o *outbound) fits(size int) bool {
	unsent := o.win.len() - o.live
	return unsent == 0 || unsent < o.lim.messages && o.held+size <= o.lim.bytes
}

// stored tells what became of the record of message seq.
func (o *outbound) stored(seq uint64, ok bool, w world) {
	if seq >= o.end {
		o.settlePending(seq, ok)
	} else if i := o.win.find(seq); i >= 0 && ok {
		o.win.at(i).state = ready
	} else if i >= 0 {
		o.remove(i)
	}
	o.pump(w)
}

func (o *outbound) settlePending(seq uint64, ok bool) {
	for i, p := range o.pending {
		if p.seq != seq {
			continue
		}
		if i == 0 { // the usual case
			o.pending = o.pending[1:]
		} else {
			o.pending = slices.Delete(o.pending, i, i+1)
		}
		if !ok {
			o.tail--
			o.count--
			o.bytes -= int64(p.size)
		}
		break
	}
	if len(o.pending) == 0 && o.window == 0 {
		o.pending = nil
	}
}

// attach begins a connection with that send window. What was sent before is to be sent
// again, in the same order. The client's Receive Maximum is the first quota. [MQTT-4.4.0-1] [MQTT-4.6.0-1]
// [MQTT-4.9.0-1] [MQTT311-4.4.0-1] [MQTT311-4.6.0-1]
func (o *outbound) attach(window int) {
	o.window, o.live, o.running, o.blocked, o.hopeless = window, 0, false, false, false
}

// detach ends the connection. What was not sent leaves the memory when the store has it.
func (o *outbound) detach() {
	o.window, o.live, o.running, o.blocked = 0, 0, false, false
	if o.memory {
		return
	}
	var back []unknown
	for o.win.len() > 0 && o.win.at(o.win.len()-1).seq >= o.sent {
		e := o.win.pop()
		o.end = e.seq
		o.tail++
		if e.state == writing {
			back = append(back, unknown{e.seq, e.size})
		}
	}
	o.rewind(back)
	for i := range o.win.len() {
		o.win.at(i).msg = nil
	}
	o.held = 0
	o.win.free()
}

// rewind puts unwritten messages, newest first, before those of pending.
func (o *outbound) rewind(back []unknown) {
	if len(back) == 0 {
		return
	}
	all := make([]unknown, 0, len(back)+len(o.pending))
	for i := len(back) - 1; i >= 0; i-- {
		all = append(all, back[i])
	}
	o.pending = append(all, o.pending...)
}

// resume starts sending, or goes on after blocked.
func (o *outbound) resume(w world) {
	if o.window == 0 {
		return
	}
	o.running, o.blocked = true, false
	o.pump(w)
}

// pump sends what may be sent, in order, within the window. Nothing else waits for the window.
// [MQTT-3.3.4-9] [MQTT-3.3.4-10] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT-4.9.0-2] [MQTT-4.9.0-3] [MQTT311-4.6.0-5]
// [MQTT311-4.6.0-6]
func (o *outbound) pump(w world) {
	for o.running && !o.blocked && o.live < min(o.window, o.win.len()) && o.step(w) {
	}
	if o.wants() {
		w.fetch()
	}
}

// step deals with the first entry that is not live, and reports whether it could.
func (o *outbound) step(w world) bool {
	e := o.win.at(o.live)
	again := e.seq < o.sent
	switch {
	case e.state == writing || e.seq-o.win.at(0).seq >= maxIDs:
		return false
	case e.state == released: // [MQTT-4.4.0-1]
		w.ack(packet.PUBREL, packetID(e.seq), packet.Success)
		o.live++
		return true
	case e.state == releasing: // PUBREL follows from released
		o.live++
		return true
	case e.qos == 0 && again: // at most once
		o.settle(o.live, dropQoS0Again, w)
		return true
	case e.msg == nil:
		w.fetch()
		return false
	case w.expired(e.msg) && (!again || e.has(maybeSent) && e.qos == 1): // [MQTT-3.3.2-5] [MQTT-4.3.3-7] [MQTT-4.3.3-13]
		o.settle(o.live, dropExpired, w)
		return true
	}
	return o.send(e, again, w)
}

// send writes one PUBLISH, with DUP when it may have been sent before, and only then. [MQTT-3.3.1-1] [MQTT-3.3.1-2]
// [MQTT-3.3.1-3] [MQTT-4.3.1-1] [MQTT-4.3.2-2] [MQTT-4.3.3-2] [MQTT311-3.3.1-1] [MQTT311-3.3.1-3] [MQTT311-4.3.1-1]
// [MQTT311-4.3.2-1] [MQTT311-4.3.3-1]
func (o *outbound) send(e *entry, again bool, w world) bool {
	id := packetID(e.seq)
	if e.qos == 0 {
		id = 0 // [MQTT-2.2.1-2]
	}
	switch w.publish(e, id, again) {
	case mqtt.Full:
		o.blocked = true
		return false
	case mqtt.TooLarge: // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
		o.settle(o.live, dropTooLarge, w)
		return true
	}
	o.sent = max(o.sent, e.seq+1)
	if e.qos == 0 {
		o.settle(o.live, delivered, w)
		return true
	}
	e.state = sent
	o.live++
	if !o.keep && !o.bequeaths(e) {
		o.forget(e)
	}
	return true
}

// bequeaths reports whether only memory has a message that another member of its group may get.
func (o *outbound) bequeaths(e *entry) bool { return o.memory && e.group != "" && e.qos == 1 }

// forget lets go of a message in memory.
func (o *outbound) forget(e *entry) {
	if e.msg != nil {
		e.msg = nil
		o.held -= int(e.size)
	}
}

// settle ends entry i: it was acknowledged, or is dropped.
func (o *outbound) settle(i int, how outcome, w world) {
	w.done(o.win.at(i), how)
	o.remove(i)
}

func (o *outbound) remove(i int) {
	e := o.win.at(i)
	o.forget(e)
	o.count--
	o.bytes -= int64(e.size)
	if i < o.live {
		o.live--
	}
	o.win.remove(i)
}

// inFlight is the number of messages sent and not acknowledged, as far as memory knows.
func (o *outbound) inFlight() int {
	n := 0
	for n < o.win.len() && o.win.at(n).seq < o.sent {
		n++
	}
	return n
}
