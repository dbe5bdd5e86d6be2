package bridge

import (
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/lane"
	"mangrove/bridge/pace"
	"mangrove/mqtt"
)

// trimEvery is how many acknowledged messages at most wait to be removed from the disk.
const trimEvery = 4096

// step sends one frame, of what is most urgent. It returns false when there is nothing to send.
func (l *link) step() bool {
	l.mu.Lock()
	stage, leaving := l.stage, l.leaving
	ack, came, ackDue := l.ack, l.ackCame, l.ackDue && stage == stageUp
	if ackDue {
		l.ackDue = false
	}
	var due note
	held, heldDue := l.held, l.heldDue && stage == stageUp && !ackDue
	if heldDue {
		l.heldDue = false
	}
	if stage == stageUp && len(l.notes) > 0 && !ackDue && !heldDue {
		due, l.notes = l.notes[0], l.notes[1:]
	}
	l.mu.Unlock()
	if leaving || stage == stageFresh {
		return false
	}
	sent, err := true, error(nil)
	switch {
	case stage == stageGreeted:
		err = l.bringUp()
	case ackDue:
		err = l.sendAck(ack, came)
	case heldDue:
		err = l.frame(frame.KindHeld, held.Append(nil))
	case due.kind != "":
		err = l.frame(due.kind, due.body)
	default:
		sent, err = l.sendTurn()
	}
	if err != nil {
		l.fail(err, nil)
	}
	return sent && err == nil
}

// bringUp answers HELLO on the accepting side, and starts sending.
func (l *link) bringUp() error {
	if !l.dialled {
		if err := l.sendHello(l.n.held()); err != nil {
			return err
		}
	}
	if l.n.scope&(mqtt.ScopePeer|mqtt.ScopeUplink) != 0 {
		l.follower = l.b.announcer.Follow(l.theirHeld(), l.kick)
	}
	l.mu.Lock()
	if l.stage == stageGreeted {
		l.stage, l.rose = stageUp, l.b.cfg.Now()
	}
	l.mu.Unlock()
	l.n.opened(l)
	l.startHealing()
	return nil
}

// sendTurn sends news, or a frame of a circuit: by turns, where there are both.
func (l *link) sendTurn() (sent bool, err error) {
	if l.out.turn = !l.out.turn; l.out.turn {
		if sent, err = l.sendPassage(); sent || err != nil {
			return sent, err
		}
	}
	if sent, err = l.sendNews(); sent || err != nil {
		return sent, err
	}
	return l.sendPassage()
}

// sendNews sends the list of cores, interest, or messages of both lanes.
func (l *link) sendNews() (sent bool, err error) {
	if cores := l.b.coreList(); l.n.scope == mqtt.ScopeEdge && cores != l.coresSent {
		l.coresSent = cores
		return true, l.frame(frame.KindCores, frame.AppendCores(nil, cores.cores))
	}
	if !l.pace.room() {
		return false, nil
	}
	window, frameBytes := l.pace.bounds()
	frameBytes = min(frameBytes, l.maxBytes()/2) // the rest is for what items need beyond their messages
	if l.follower != nil {
		if f, ok := l.follower.Pull(frameBytes); ok {
			return true, l.sendOnLine(frame.KindInterest, f.Append(nil), 0)
		}
	}
	if sent, err := l.sendPresence(frameBytes); sent || err != nil {
		return sent, err
	}
	if sent, err := l.agree(); sent || err != nil {
		return sent, err
	}
	if sent, err := l.sendKeep(frameBytes); sent || err != nil {
		return sent, err
	}
	if sent, err := l.converse(frameBytes); sent || err != nil {
		return sent, err
	}
	if l.cutting != nil {
		return l.sendFragment(window, frameBytes)
	}
	durable, err := l.sendDurable(window, frameBytes)
	if err != nil {
		return false, err
	}
	if l.cutting != nil {
		return true, nil
	}
	volatile, err := l.sendVolatile(frameBytes)
	return durable || volatile, err
}

func (l *link) frame(kind string, body []byte) error {
	l.b.metrics.framesOut.Inc()
	if err := l.carrier.Frame(kind, body); err != nil {
		return fmt.Errorf("send %s frame: %w", kind, err)
	}
	return nil
}

// sendOnLine sends a frame of the kind that waits for room. answer is the position that it will be acknowledged by; 0 = none.
func (l *link) sendOnLine(kind string, body []byte, answer uint64) error {
	l.pace.sent(len(body), answer)
	return l.frame(kind, body)
}

func (l *link) sendHello(held frame.Digest) error {
	h := frame.Hello{
		Name: l.b.cfg.Node, Store: l.b.cfg.Store.ID(), Role: l.b.cfg.Role.code(), Held: held,
		Window: l.b.cfg.Window, WindowBytes: l.b.cfg.WindowBytes, MaxBytes: l.b.cfg.MaxFrameBytes,
		MaxPart: l.b.cfg.MaxPartBytes, Features: l.b.features(), Lives: l.b.lives(), Counts: l.counts,
		Hold: !l.dialled && l.n.scope == mqtt.ScopeEdge && l.b.isSettling(),
	}
	if l.b.cfg.Retained != nil {
		h.Clock = uint64(max(l.b.cfg.Retained.Clock(), 0))
	}
	if l.b.uplink != nil {
		rec := l.b.uplink.n.snapshot()
		h.Attach, h.Last = rec.attach, frame.Attachment{Store: rec.store, Attach: rec.settled}
	}
	if n := l.knownNeighbour(); n != nil {
		h.Part = n.partHeld()
	}
	return l.frame(frame.KindHello, h.Append(nil))
}

// knownNeighbour is who is at the other end, as far as that is known when HELLO is sent; nil = nobody that was met before.
func (l *link) knownNeighbour() *neighbour {
	switch {
	case !l.dialled:
		return l.n
	case l.b.uplink != nil:
		return l.b.uplink.n
	}
	return l.b.lookup(l.expect)
}

func (l *link) sendAck(position uint64, came time.Duration) error {
	f := frame.Ack{Lane: frame.LaneDurable, Position: position, Window: l.b.cfg.Window, WindowBytes: l.b.cfg.WindowBytes, Came: came}
	return l.frame(frame.KindAck, f.Append(nil))
}

// sendDurable sends one frame of the durable lane, if credit and queue have one.
func (l *link) sendDurable(window, frameBytes int) (sent bool, err error) {
	l.mu.Lock()
	credit := l.credit
	l.mu.Unlock()
	credit.Bytes = min(credit.Bytes, window)
	entries, more := l.n.queue.Next(l, l.entries[:0], credit, frameBytes, l.b.cfg.Now())
	l.entries = entries
	defer clear(entries)
	if len(entries) == 0 {
		if !more {
			return false, nil
		}
		return l.n.queue.Refill(l)
	}
	if len(entries) == 1 && l.resume(&entries[0]) {
		return true, nil
	}
	first, count, err := l.gather(entries)
	if err != nil || count == 0 {
		return true, err
	}
	return true, l.sendData(frame.LaneDurable, entries[0].Edge, first, count, entries[len(entries)-1].Pos, frameBytes)
}

// gather writes the entries' items into l.items. What cannot be sent is dropped and counted.
func (l *link) gather(entries []lane.Entry) (first uint64, count int, err error) {
	if err := l.fetch(entries); err != nil {
		return 0, 0, err
	}
	l.items = l.items[:0]
	last, most := uint64(0), l.maxBytes()
	if len(entries) == 1 {
		most = l.maxAlone()
	}
	for i := range entries {
		e, drop := &entries[i], ""
		body := l.body[l.spans[i].from:l.spans[i].to]
		if e.ID != 0 {
			body = l.coded(body, l.n.queue.Deadline(e))
		}
		if len(body) == 0 {
			drop = lane.DropDamaged
		} else if len(l.items)+len(body)+frame.MaxItemHead > most {
			drop = dropTooLarge
		}
		if drop != "" {
			l.log.Error("message cannot cross the link", "reason", drop, "position", e.Pos, "bytes", len(body))
			l.n.queue.Discard(l, e.Pos, drop)
			continue
		}
		if e.ID != 0 {
			setQoS(body, e.QoS)
		}
		if count == 0 {
			first, last = e.Pos, e.Pos
		}
		l.items = frame.AppendItem(l.items, last, frame.Item{Position: e.Pos, Kind: e.Kind, Body: body})
		last = e.Pos
		count++
	}
	return first, count, nil
}

// coded is body, a message at rest, as the other side understands it, with its deadline as it is known now. It is valid until
// the next call.
func (l *link) coded(body []byte, deadline time.Time) []byte {
	form := l.form()
	if deadline.IsZero() && form == mqtt.LinkForm2 {
		return body // the same bytes
	}
	l.recoded = form.Recode(l.recoded[:0], body, deadline, l.b.cfg.Now())
	return l.recoded
}

// span is where an entry's bytes lie in link.body.
type span struct{ from, to int }

// fetch brings the entries' bytes into l.body: from memory where they are, else all in one read.
func (l *link) fetch(entries []lane.Entry) error {
	l.body, l.spans, l.ids = l.body[:0], l.spans[:0], l.ids[:0]
	var stored []int // entries that l.ids are for
	for i := range entries {
		e, from := &entries[i], len(l.body)
		switch {
		case e.ID == 0:
			l.body = append(l.body, e.Control...)
		case e.Msg != nil:
			l.body = mqtt.AppendMessage(l.body, e.Msg)
		default:
			l.ids, stored = append(l.ids, e.ID), append(stored, i)
		}
		l.spans = append(l.spans, span{from, len(l.body)})
	}
	if len(stored) == 0 {
		return nil
	}
	return l.b.bodies(l.ids, func(i int, body []byte) {
		from := len(l.body)
		l.body = append(l.body, body...)
		l.spans[stored[i]] = span{from, len(l.body)}
	})
}

// maxBytes is what the items of a frame may have, here and at the other end.
func (l *link) maxBytes() int {
	most := min(l.b.cfg.MaxFrameBytes, l.theirs.MaxBytes)
	if l.detour != nil {
		most = min(most, l.detour.via.maxBytes())
	}
	return most
}

// setQoS changes the QoS in the bytes of a message: see mqtt.AppendMessage.
func setQoS(b []byte, qos byte) { b[0] = b[0]&^3 | qos&3 }

// sendVolatile sends one frame of QoS 0 messages, if there are any.
func (l *link) sendVolatile(frameBytes int) (sent bool, err error) {
	messages, first := l.n.ring.Take(l.volatiles[:0], frameBytes)
	l.volatiles = messages
	defer clear(messages)
	l.items = l.items[:0]
	last, count, most := first, 0, l.maxBytes()
	if len(messages) == 1 {
		most = l.maxAlone()
	}
	for i, m := range messages {
		l.body = mqtt.AppendMessage(l.body[:0], m)
		body := l.coded(l.body, m.Expires)
		setQoS(body, 0)
		if len(l.items)+len(body)+frame.MaxItemHead > most {
			l.b.metrics.dropped(dropTooLarge, 1)
			continue
		}
		position := first + uint64(i)
		if count == 0 {
			first, last = position, position
		}
		l.items = frame.AppendItem(l.items, last, frame.Item{Position: position, Body: body})
		last = position
		count++
	}
	if count == 0 {
		return len(messages) > 0, nil
	}
	if err = l.sendData(frame.LaneVolatile, "", first, count, 0, frameBytes); err != nil {
		l.b.metrics.dropped(lane.DropLinkDown, count)
	}
	return true, err
}

// sendData sends the items gathered in l.items, or begins to when it is one message that is too long for the line. answer is
// the position whose acknowledgement they will get; 0 = none.
func (l *link) sendData(which byte, edge string, first uint64, count int, answer uint64, frameBytes int) error {
	data := frame.AppendData(nil, which, edge, first, count, l.items, l.b.compressor)
	long := count == 1 && l.isLong(data, l.items, frameBytes)
	if cap(l.items) > 2*pace.MaxFrame {
		l.items, l.body, l.recoded = nil, nil, nil
	}
	if long {
		l.cut(which, answer, data)
		return nil
	}
	l.n.sent.Add(uint64(count)) // before the frame: its acknowledgement may be handled before frame returns
	if err := l.sendOnLine(frame.KindData, data, answer); err != nil {
		l.n.sent.Add(-uint64(count))
		return err
	}
	l.b.metrics.sent.Add(count)
	l.b.metrics.bytesOut.Add(len(data))
	return nil
}

// trims is how many acknowledged messages wait for trim.
func (l *link) trims() int {
	l.mu.Lock()
	n := l.n
	l.mu.Unlock()
	if n == nil {
		return 0
	}
	return n.queue.Untrimmed()
}

// trim removes from the disk what was acknowledged.
func (l *link) trim() {
	l.mu.Lock()
	n := l.n
	l.mu.Unlock()
	if n == nil {
		return
	}
	n.queue.Trim()
}
