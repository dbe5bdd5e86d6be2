package session

import "mangrove/mqtt"

// span is the part of the tail that can be read now: from <= seq < to.
type span struct {
	from, to uint64
	messages int // not more than these
	bytes    int
}

// readable is the part of the tail before the first record that is not stable.
func (o *outbound) readable() (from, to uint64) {
	if len(o.pending) > 0 {
		return o.end, o.pending[0].seq
	}
	return o.end, o.next
}

// wants reports whether the window should be filled from the tail: half of it is free.
func (o *outbound) wants() bool {
	from, to := o.readable()
	unsent := o.win.len() - o.live
	return o.running && o.tail > 0 && from < to && !o.cutting && !o.hopeless &&
		unsent <= o.lim.messages/2 && (unsent == 0 || o.held <= o.lim.bytes/2)
}

// gap is what a fill should read.
func (o *outbound) gap() span {
	from, to := o.readable()
	unsent := o.win.len() - o.live
	return span{from, to, o.lim.messages - unsent, max(1, o.lim.bytes-o.held)}
}

// loaded brings the messages of from <= seq < to, all there are, into the window. It does nothing when the window moved
// meanwhile. missing is the number of messages that should have been there.
func (o *outbound) loaded(from, to uint64, entries []entry) (missing int) {
	if from != o.end || o.window == 0 {
		return 0
	}
	for _, e := range entries {
		if e.seq < o.maybeSent {
			e.traits |= maybeSent
		}
		o.push(e)
	}
	o.end = to
	o.tail -= len(entries)
	if to == o.next && len(o.pending) == 0 && o.tail > 0 {
		missing, o.tail = o.tail, 0
		o.count -= missing
	}
	return missing
}

// bodiless lists entries that are to be sent and whose message is on disk only, at most n.
func (o *outbound) bodiless(n int) (list []entry) {
	for i := o.live; i < o.win.len() && len(list) < n; i++ {
		if e := o.win.at(i); e.msg == nil && e.body != 0 && e.state < releasing {
			list = append(list, *e)
		}
	}
	return list
}

// fetched brings one of them; nil when the store does not have it.
func (o *outbound) fetched(seq uint64, m *mqtt.Message, w world) {
	i := o.win.find(seq)
	if i < 0 || o.window == 0 || o.win.at(i).state >= releasing || o.win.at(i).msg != nil {
		return
	}
	if m == nil {
		o.settle(i, dropBodyLost, w)
		return
	}
	o.win.at(i).msg = m
	o.held += int(o.win.at(i).size)
}

// rule says which records of the tail may be dropped unsent: a QoS 2 message that may have been sent must
// stay, the client may hold its packet id.
type rule struct{ sent, maybeSent uint64 }

func (o *outbound) rule() rule { return rule{o.sent, o.maybeSent} }

func (r rule) removable(seq uint64, qos byte) bool {
	return seq >= r.sent || seq < r.maybeSent && qos < 2
}

// first is where the queue begins: messages before it are gone.
func (o *outbound) first() uint64 {
	if o.win.len() > 0 {
		return o.win.at(0).seq
	}
	return o.end
}

// soonestUnsent is the first expiry among the messages in memory that were not sent, in stored time; 0 = none.
func (o *outbound) soonestUnsent() (first int64) {
	for i := o.inFlight(); i < o.win.len(); i++ {
		first = earlier(first, o.win.at(i).until)
	}
	return first
}

// unsent is the number of messages in memory that were not sent and give way.
func (o *outbound) unsent() (n int) {
	for i := o.inFlight(); i < o.win.len(); i++ {
		if !o.win.at(i).has(keeps) {
			n++
		}
	}
	return n
}

// keepsMost is how many messages that do not give way are passed over for one that does.
const keepsMost = 1024

// dropOldest drops the first message in memory that was not sent and gives way; false when there is none.
func (o *outbound) dropOldest(w world) bool {
	for i, most := o.inFlight(), keepsMost; i < o.win.len() && most > 0; i, most = i+1, most-1 {
		e := o.win.at(i)
		if e.state != ready {
			return false
		}
		if !e.has(keeps) {
			o.settle(i, dropQueueFull, w)
			return true
		}
	}
	return false
}

// sweep drops the messages in memory that were not sent and have expired, and returns when the first of those left will; 0 = none.
func (o *outbound) sweep(now int64, w world) (least int64) {
	kept := o.inFlight()
	for i := kept; i < o.win.len(); i++ {
		e := o.win.at(i)
		if e.state == ready && e.until != 0 && e.until <= now {
			w.done(e, dropExpired)
			o.forget(e)
			o.count--
			o.bytes -= int64(e.size)
			continue
		}
		least = earlier(least, e.until)
		if kept != i {
			*o.win.at(kept) = *e
		}
		kept++
	}
	for o.win.len() > kept {
		o.win.pop()
	}
	return least
}

// waits reports whether there are messages that a sweep looks at.
func (o *outbound) waits() bool {
	if o.memory {
		return o.win.len() > o.live
	}
	return o.tail > 0
}

// cut tells that n messages were cut out of the tail.
func (o *outbound) cut(n int, bytes int64) {
	o.tail -= n
	o.count -= n
	o.bytes -= bytes
}

// clear forgets everything but what may have been sent; it returns how many messages there were.
func (o *outbound) clear() int {
	n := o.count
	*o = outbound{next: o.next, sent: o.sent, lim: o.lim, memory: o.memory}
	return n
}

// inheritance lists the messages in memory that other members may get, in order.
func (o *outbound) inheritance() (list []entry) {
	for i := range o.win.len() {
		if e := o.win.at(i); e.inherited(o.sent) {
			list = append(list, *e)
		}
	}
	return list
}

// found counts a message that the store has, on loading. The tail begins with the first.
func (o *outbound) found(seq uint64, size int32) {
	if o.tail == 0 {
		o.end = seq
	}
	o.tail++
	o.count++
	o.bytes += int64(size)
	o.next = seq + 1
}

// restart ends loading. When the node died while the client was connected, everything may have been sent.
func (o *outbound) restart(connected bool) {
	o.next = max(o.next, o.sent, 1)
	if connected {
		o.maybeSent, o.sent = o.next, o.next
	}
}
