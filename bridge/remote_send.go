package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"mangrove/bridge/lane"
	"mangrove/bridge/remote"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// remoteQoS is what messages of the durable lane are published with: only what is acknowledged may leave it.
const remoteQoS = 1

// sendDurable publishes what the window has room for.
func (l *remoteLink) sendDurable(window, frameBytes int) (sent bool, err error) {
	room := lane.Credit{Messages: l.conn.Window(), Bytes: min(l.b.cfg.WindowBytes, window)}
	if l.b.uplink.culprit.alone() {
		room.Messages = 1
	}
	entries, more := l.n.queue.Next(l, l.entries[:0], room, frameBytes, l.b.cfg.Now())
	l.entries = entries
	defer clear(entries)
	if len(entries) == 0 {
		if !more {
			return false, nil
		}
		return l.n.queue.Refill(l)
	}
	if err := l.fetch(entries); err != nil {
		return false, err
	}
	defer clear(l.messages)
	l.onLine(l.messages, entries[len(entries)-1].Pos)
	for i, m := range l.messages {
		if err := l.publish(entries[i].Pos, m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// onLine notes messages that are about to be sent; answer is the position of the last PUBACK, 0 = there is none.
func (l *remoteLink) onLine(messages []*mqtt.Message, answer uint64) {
	n := 0
	for _, m := range messages {
		if m != nil {
			n += m.Size()
		}
	}
	if n > 0 {
		l.pace.sent(n, answer)
	}
}

// fetch brings the entries' messages into l.messages: from memory where they are, else all in one read. nil =
// cannot be read.
func (l *remoteLink) fetch(entries []lane.Entry) error {
	l.messages = l.messages[:0]
	var ids []uint64
	var stored []int // entries that ids are for
	for i := range entries {
		l.messages = append(l.messages, entries[i].Msg)
		if entries[i].Msg == nil && entries[i].ID != 0 {
			ids, stored = append(ids, entries[i].ID), append(stored, i)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return l.b.bodies(ids, func(i int, body []byte) {
		if m, err := decodeMessage(bytes.Clone(body), l.b.cfg.Now()); err == nil { // nil is counted by publish
			if e := &entries[stored[i]]; e.Expires != 0 {
				m.Expires = l.n.queue.Deadline(e)
			}
			l.messages[stored[i]] = m
		}
	})
}

// publish sends one message of the durable lane, or drops it, counted, when it cannot be sent.
func (l *remoteLink) publish(pos uint64, m *mqtt.Message) error {
	if m == nil {
		l.log.Error("message cannot be read", "reason", lane.DropDamaged, "position", pos)
		l.discard(pos, lane.DropDamaged)
		return nil
	}
	if l.b.uplink.culprit.condemned(pos) {
		l.giveUp(m.Topic, m.Size(), dropRefused)
		l.discard(pos, dropRefused)
		return nil
	}
	if m.Retain && l.b.outdated(m) {
		late := *m
		late.Retain, m = false, &late // the broker may hold the newer one, and knows no versions
	}
	l.mu.Lock()
	l.flights = append(l.flights, remoteFlight{pos: pos, topic: strings.Clone(m.Topic), size: m.Size()}) // before the answer can come
	l.mu.Unlock()
	err := l.conn.Publish(m, remoteQoS, pos)
	if errors.Is(err, remote.ErrTooLarge) {
		l.mu.Lock()
		l.flights = l.flights[:len(l.flights)-1]
		l.mu.Unlock()
		l.giveUp(m.Topic, m.Size(), dropTooLarge)
		l.discard(pos, dropTooLarge)
		return nil
	}
	if err != nil {
		return err
	}
	l.sent()
	return nil
}

// outdated tells that a newer message, or a clearing, is held here than m.
func (b *Bridge) outdated(m *mqtt.Message) bool {
	return m.Version != 0 && b.cfg.Retained != nil && !b.cfg.Retained.Wants(m.Topic, mqtt.VersionOf(m)) && !b.cfg.Retained.Holds(m.Topic, m.Origin)
}

func (l *remoteLink) discard(pos uint64, reason string) {
	l.n.queue.Discard(l, pos, reason)
	l.b.uplink.culprit.passed(pos)
}

func (l *remoteLink) sent() {
	l.n.sent.Add(1)
	l.b.metrics.sent.Inc()
}

// sendVolatile publishes QoS 0 messages; not beside a message that is sent alone, or one of them could be meant.
func (l *remoteLink) sendVolatile(frameBytes int) (sent bool, err error) {
	if l.b.uplink.culprit.alone() && l.flying() > 0 {
		return false, nil
	}
	messages, _ := l.n.ring.Take(l.volatile[:0], frameBytes)
	l.volatile = messages
	defer clear(messages)
	l.onLine(messages, 0)
	for i, m := range messages {
		switch err := l.conn.Publish(m, 0, 0); {
		case errors.Is(err, remote.ErrTooLarge):
			l.giveUp(m.Topic, m.Size(), dropTooLarge)
			l.b.metrics.dropped(dropTooLarge, 1)
		case err != nil:
			l.b.metrics.dropped(lane.DropLinkDown, len(messages)-i)
			return false, err
		default:
			l.sent()
		}
	}
	return len(messages) > 0, nil
}

// answered takes a PUBACK. What the broker does not take is dropped and counted, as culprit has it; any other refusal
// ends the link, to send it again later.
func (l *remoteLink) answered(pos uint64, reason byte) {
	if reason >= 0x80 {
		pause, lasting := l.b.uplink.culprit.refusal(pos, packet.ReasonCode(reason), l.b.cfg.RefuseRetry)
		m := l.flight(pos)
		if !lasting {
			l.fail(fmt.Errorf("message of topic %q refused: broker sent PUBACK with reason code 0x%02X", m.topic, reason), pause)
			return
		}
		l.giveUp(m.topic, m.size, fmt.Sprintf("%s: PUBACK 0x%02X", dropRefused, reason))
		l.b.metrics.dropped(dropRefused, 1)
	}
	if upTo := l.land(pos); upTo != 0 {
		l.pace.answered(upTo, 0)
		l.n.queue.Ack(l, upTo)
		l.b.uplink.culprit.passed(upTo)
		if l.n.queue.Untrimmed() >= trimEvery {
			l.n.trim()
		}
		l.kick()
	}
}

// flying is how many messages are on the way.
func (l *remoteLink) flying() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.flights)
}

// flight is the message on the way at pos; the zero value when there is none.
func (l *remoteLink) flight(pos uint64) remoteFlight {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		if f.pos == pos {
			return f
		}
	}
	return remoteFlight{}
}

// land notes an acknowledgement and returns the position up to which all are, when that has changed: brokers answer in order
// [MQTT-4.6.0-2], but nothing here relies on it.
func (l *remoteLink) land(pos uint64) (upTo uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.flights {
		if l.flights[i].pos == pos {
			l.flights[i].acked = true
			break
		}
	}
	n := 0
	for n < len(l.flights) && l.flights[n].acked {
		upTo = l.flights[n].pos
		n++
	}
	l.flights = l.flights[n:]
	return upTo
}

// sendAcks acknowledges what is kept.
func (l *remoteLink) sendAcks() error {
	l.mu.Lock()
	acks := l.acks
	l.acks = nil
	l.mu.Unlock()
	for _, id := range acks {
		if err := l.conn.Ack(id); err != nil {
			return fmt.Errorf("acknowledge to broker: %w", err)
		}
	}
	if len(acks) == 0 {
		return nil
	}
	return l.conn.Flush()
}
