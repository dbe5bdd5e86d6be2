package bridge

import (
	"errors"
	"sync"
	"time"

	"mangrove/mqtt/packet"
)

// culprit finds the message that a plain broker will not take. It stands first in the queue, so without this it would
// hold up all that follows for good. Brokers say it in three ways:
//
//	PUBACK, a code that lasts ─────────────────────────────→ given up at once
//	PUBACK, a code that may pass ── maxRefusals times ─────→ given up
//	DISCONNECT about a packet ── alone on the way, so often → given up
//	no more than the end of the connection ────────────────→ stays: a broken line looks the same; the log names its topic
//
// A message that has met a refusal is sent alone until it is through, so that it is known who was meant, and what
// follows is not sent again and again. It outlives the connections of an uplink. Safe for concurrent use.
type culprit struct {
	mu      sync.Mutex
	pos     uint64 // of the message; 0 = there is none
	refused int    // PUBACKs that may pass, or DISCONNECTs while it was alone on the way
	ended   int    // connections that ended with it first on the way
}

const (
	maxRefusals  = 8 // of one message: with the growing pauses between them some eight minutes
	maxDeferrals = 5 // doublings of the pause after a refusal
	suspicious   = 3 // connections that end with the same message first on the way
)

// refusedBy notes that the broker refused pos and returns how often it did so by now.
func (c *culprit) refusedBy(pos uint64) (times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turnLocked(pos)
	c.refused++
	return c.refused
}

// endedAt notes that the broker ended a connection on which pos was the first on the way, and returns how often.
func (c *culprit) endedAt(pos uint64) (times int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turnLocked(pos)
	c.ended++
	return c.ended
}

func (c *culprit) turnLocked(pos uint64) {
	if c.pos != pos {
		c.pos, c.refused, c.ended = pos, 0, 0
	}
}

// passed says that everything up to pos is done with.
func (c *culprit) passed(pos uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pos != 0 && c.pos <= pos {
		c.pos, c.refused, c.ended = 0, 0, 0
	}
}

// alone tells that one message at a time is to be sent.
func (c *culprit) alone() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pos != 0 && (c.refused > 0 || c.ended >= suspicious)
}

// condemned tells that pos is not to be sent again.
func (c *culprit) condemned(pos uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pos == pos && c.refused >= maxRefusals
}

// neverTaken tells of a PUBACK that sending again could not help.
func neverTaken(reason packet.ReasonCode) bool {
	switch reason {
	case packet.NotAuthorized, packet.TopicNameInvalid, packet.PayloadFormatInvalid,
		packet.PacketTooLarge: // Mosquitto's message_size_limit
		return true
	}
	return false
}

// sparesMessage tells of a PUBACK that is about the broker, or this connection, and not the message.
func sparesMessage(reason packet.ReasonCode) bool {
	return reason == packet.QuotaExceeded || reason == packet.PacketIDInUse
}

// blamesPacket tells of a DISCONNECT that is about something that was sent.
func blamesPacket(reason packet.ReasonCode) bool {
	switch reason {
	case packet.MalformedPacket, packet.ProtocolError, packet.ImplementationSpecificError, packet.NotAuthorized, packet.TopicNameInvalid,
		packet.PacketTooLarge, packet.PayloadFormatInvalid, packet.RetainNotSupported, packet.QoSNotSupported:
		return true
	}
	return false
}

// refusal is how a link ends at a PUBACK that may pass; lasting reports that the message is to be given up instead.
func (c *culprit) refusal(pos uint64, reason packet.ReasonCode, retry time.Duration) (pause time.Duration, lasting bool) {
	switch {
	case neverTaken(reason):
		return 0, true
	case sparesMessage(reason):
		return retry, false
	}
	times := c.refusedBy(pos)
	return retry << min(times-1, maxDeferrals), times >= maxRefusals
}

// blame notes which message was first on the way when the connection ended.
func (l *remoteLink) blame(err error) {
	l.mu.Lock()
	flights, ours := l.flights, l.retry > 0 // answered saw to it
	l.mu.Unlock()
	if ours || len(flights) == 0 || errors.Is(err, errClosing) {
		return
	}
	c, first := &l.b.uplink.culprit, flights[0]
	ends := c.endedAt(first.pos)
	if ends < suspicious {
		return
	}
	if reason, told := l.conn.Disconnected(); told && ends > suspicious && len(flights) == 1 && blamesPacket(packet.ReasonCode(reason)) {
		c.refusedBy(first.pos)
	}
	if times, tell := l.b.untaken.Note(l.b.cfg.Now(), first.topic, "ends"); tell {
		l.log.Warn("connections end with the same message first on the way", "topic", first.topic, "error", err, "times", times)
	}
}

// giveUp tells that a message is dropped since the broker will not take it: by topic, at the first time and then at
// doubling intervals.
func (l *remoteLink) giveUp(topic string, size int, why string) {
	if times, tell := l.b.untaken.Note(l.b.cfg.Now(), topic, why); tell {
		l.log.Warn("message dropped that the broker does not take", "topic", topic, "bytes", size, "reason", why, "times", times)
	}
}
