package client

import (
	"context"

	"mangrove/mqtt/packet"
)

// window is how much of a State's outgoing messages the present connection may have under way:
// min(MaxInflight, the server's Receive Maximum). The State's lock guards it.
type window struct {
	limit   int
	used    int           // flights that are counted
	unsent  *flight       // the first of State.sent that was not sent on this connection; all after it were not either
	changed chan struct{} // closed with the next acknowledgement; nil = nobody waits
	closing bool          // Disconnect has begun: nothing new
}

// changedLocked returns the channel to wait on, the lock released.
func (w *window) changedLocked() <-chan struct{} {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

func (w *window) signalLocked() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// resume brings the State into line with the server's answer, and sends what is to be sent again.
func (c *Client) resume() {
	c.st.mu.Lock()
	// 3.1 has no session present flag: its servers keep the session unless it is clean.
	present := c.connack.SessionPresent || c.cfg.Version == packet.V31 && !c.cfg.Clean
	var settled []*flight
	if !present {
		settled = c.st.restartLocked()
	}
	for f := c.st.released.first; f != nil; f = f.next { // [MQTT-4.4.0-1] [MQTT-4.6.0-4]
		f.counted = false
		_ = c.w.packet(&packet.Ack{Kind: packet.PUBREL, PacketID: f.id}, c.cfg.Version) // fails only when closing
	}
	for f := c.st.sent.first; f != nil; f = f.next {
		f.counted, f.before = false, present // [MQTT-3.3.1-1]
	}
	c.window.unsent = c.st.sent.first
	failed := c.pumpLocked()
	c.st.mu.Unlock()
	for _, f := range settled {
		f.finish(packet.Success, nil)
	}
	for _, f := range failed {
		f.finish(0, ErrTooLarge)
	}
}

// restartLocked makes a new session of s. What the server had answered with PUBREC is its own already
// and counts as done; the rest will be published as new.
func (s *State) restartLocked() (settled []*flight) {
	for f := s.released.first; f != nil; f = s.released.first {
		s.removeLocked(f)
		settled = append(settled, f)
	}
	clear(s.received)
	return settled
}

// pumpLocked sends what waits, in its order [MQTT-4.6.0-1], while the window allows. The flights
// it returns are too large for this server and were removed.
func (c *Client) pumpLocked() (failed []*flight) {
	w := &c.window
	for w.unsent != nil && w.used < w.limit {
		f := w.unsent
		w.unsent = f.next
		if err := c.w.message(f.m, f.id, f.before, c.cfg.Version); err == ErrTooLarge {
			c.st.removeLocked(f)
			failed = append(failed, f)
			continue
		}
		f.counted = true
		w.used++
	}
	return failed
}

// handleAck moves one message on by PUBACK, PUBREC, PUBCOMP, or PUBREL from the other half.
func (c *Client) handleAck(p *packet.Ack) error {
	if p.Kind == packet.PUBREL {
		return c.handleRelease(p)
	}
	c.st.mu.Lock()
	f := c.st.flights[p.PacketID]
	switch {
	case f == nil:
		c.st.mu.Unlock()
		return c.unknownAck(p)
	case !f.expects(p.Kind):
		c.st.mu.Unlock()
		return protocolError("got %v for packet id %d, whose message has QoS %d", p.Kind, p.PacketID, f.m.QoS)
	case p.Kind == packet.PUBREC && p.Reason < 0x80: // [MQTT-4.3.3-4]
		c.releaseLocked(f)
		c.st.mu.Unlock()
		return c.acknowledge(packet.PUBREL, p.PacketID, packet.Success)
	}
	failed := c.settleLocked(f)
	c.st.mu.Unlock()
	f.finish(p.Reason, refusal(p.Kind, p.Reason, p.Props))
	for _, f := range failed {
		f.finish(0, ErrTooLarge)
	}
	return nil
}

// expects tells whether an acknowledgement fits. A second PUBREC is answered like the first.
func (f *flight) expects(kind packet.Type) bool {
	switch kind {
	case packet.PUBACK:
		return f.m.QoS == 1
	case packet.PUBREC:
		return f.m.QoS == 2
	}
	return f.released
}

// unknownAck answers an acknowledgement of something we do not know.
func (c *Client) unknownAck(p *packet.Ack) error {
	if p.Kind != packet.PUBREC || p.Reason >= 0x80 {
		return nil
	}
	reason := packet.Success
	if c.cfg.Version == packet.V5 {
		reason = packet.PacketIDNotFound
	}
	return c.acknowledge(packet.PUBREL, p.PacketID, reason)
}

// releaseLocked: the server has the message; it must not be sent again [MQTT-4.3.3-6].
func (c *Client) releaseLocked(f *flight) {
	if f.released {
		return
	}
	if c.window.unsent == f {
		c.window.unsent = f.next
	}
	f.list.remove(f)
	f.released = true
	f.m = &Message{QoS: f.m.QoS} // the rest is not needed any more
	c.st.released.push(f)
}

// settleLocked takes f out and uses the place that became free.
func (c *Client) settleLocked(f *flight) (failed []*flight) {
	if c.window.unsent == f {
		c.window.unsent = f.next
	}
	if f.counted {
		c.window.used--
	}
	c.st.removeLocked(f)
	failed = c.pumpLocked()
	c.window.signalLocked()
	return failed
}

// drain lets nothing new in and waits until nothing is under way.
func (c *Client) drain(ctx context.Context) error {
	for {
		c.st.mu.Lock()
		c.window.closing = true
		if len(c.st.flights) == 0 {
			c.st.mu.Unlock()
			return nil
		}
		changed := c.window.changedLocked()
		c.st.mu.Unlock()
		if err := c.await(ctx, changed); err != nil {
			return err
		}
	}
}

// await waits for changed, ctx or the end of the connection.
func (c *Client) await(ctx context.Context, changed <-chan struct{}) error {
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.failed:
		return c.err
	}
}
