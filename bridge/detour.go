package bridge

import (
	"context"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// detour is one end of a circuit: the connection under a link to a core that is reached through another one. It implements
// mqtt.Carrier. Safe for concurrent use.
type detour struct {
	circuit uint64
	via     *link // to the core between
	end     *link // the link that this is the connection of

	mu      sync.Mutex
	closed  bool
	sent    uint64 // bytes of bodies
	acked   uint64 // of these, as the other end says
	got     uint64
	telling bool // got is about to be said
}

// Frame implements mqtt.Carrier. It does not block: that not too much is under way is seen to by the link's pace, which goes by Moved.
func (d *detour) Frame(kind string, body []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := frame.Relay{Op: frame.RelayCarry, Circuit: d.circuit, Kind: kind, Body: body}
	switch {
	case d.closed:
		return errRelayGone
	case !d.via.relay(passage{body: f.Append(nil)}):
		return errRelayFull
	}
	d.sent += uint64(len(body))
	return nil
}

// Moved implements mqtt.Carrier: what the other end of the circuit has got counts, not what the core between has.
func (d *detour) Moved() (transport.Moved, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return transport.Moved{Acked: d.acked, Received: d.got, Unacked: int(d.sent - d.acked)}, true
}

// Close implements mqtt.Carrier.
func (d *detour) Close(packet.ReasonCode) {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	if _, _, was := d.end.b.circuits.remove(d.circuit, d.via); was {
		d.via.relay(closing(d.circuit, errRelayGone))
	}
}

// take takes a frame that came on the circuit.
func (d *detour) take(f frame.Relay) {
	switch f.Op {
	case frame.RelayGot:
		d.mu.Lock()
		d.acked = min(max(d.acked, f.Got), d.sent)
		d.mu.Unlock()
		d.end.kick()
	case frame.RelayCarry:
		if err := d.end.Frame(f.Kind, f.Body); err != nil {
			d.end.Closed(err)
			return
		}
		d.note(len(f.Body))
	}
}

// note counts what has come, and has it said.
func (d *detour) note(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got += uint64(n)
	if !d.telling {
		d.telling = d.via.relay(passage{receipt: d})
	}
}

// gotFrame says how much has come.
func (d *detour) gotFrame() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.telling = false
	return frame.Relay{Op: frame.RelayGot, Circuit: d.circuit, Got: d.got}.Append(nil)
}

// acceptVia takes the link of a core that comes through another one.
func (b *Bridge) acceptVia(via *link, f frame.Relay) error {
	l := b.newLink(f.From, viaAddr(via), false)
	return b.startVia(l, via, f.Circuit, nil)
}

// viaAddr is what stands in the place of an address.
func viaAddr(via *link) string { return "via " + via.theirs.Name }

// startVia starts l on a circuit; opening is the frame that begins it, nil when the other end has.
func (b *Bridge) startVia(l, via *link, circuit uint64, opening []byte) error {
	d := &detour{circuit: circuit, via: via, end: l}
	l.detour = d
	if err := b.circuits.add(circuit, d, passing{}); err != nil {
		return err
	}
	if !b.admit(l) {
		b.circuits.remove(circuit, via)
		return errClosing
	}
	if opening != nil {
		via.relay(passage{body: opening})
	}
	l.start(d)
	return nil
}

// attemptVia asks for a link to a core through another one and, if it comes about, stays until it is over.
func (b *Bridge) attemptVia(name string, via *link) outcome {
	l := b.newLink(name, viaAddr(via), true)
	f := frame.Relay{Op: frame.RelayOpen, Circuit: max(b.cfg.Rand(1<<63), 1), To: name, From: b.cfg.Node}
	if err := b.startVia(l, via, f.Circuit, f.Append(nil)); err != nil {
		return outcome{err: err}
	}
	return l.wait(b.ctx)
}

// detours keeps up a link through another core while there is none to the peer. The direct line is dialled all the time: as soon as
// it is up it takes the place of the other link, as any newer connection of a node does.
func (d *peerDialer) detours(ctx context.Context) {
	defer d.b.running.Done()
	for failures := 0; ctx.Err() == nil; failures++ {
		for l := d.linked(); l != nil; l = d.linked() {
			failures = 0
			select {
			case <-l.gone:
			case <-ctx.Done():
				return
			}
		}
		if !d.b.sleep(ctx, min(d.b.cfg.DetourAfter<<min(failures, 8), max(maxDetourPause, d.b.cfg.DetourAfter))) {
			return
		}
		d.detour(ctx)
	}
}

// maxDetourPause is the longest pause between attempts to get through to a core that no other one has a link to either.
const maxDetourPause = 5 * time.Second

// linked is the link to the peer, whatever its way; nil = there is none.
func (d *peerDialer) linked() *link {
	if n := d.b.lookup(d.name); n != nil {
		return n.link.Load()
	}
	return nil
}

// detour tries all the cores between, until a link that came about has ended.
func (d *peerDialer) detour(ctx context.Context) {
	for _, via := range d.b.between(d.name) {
		if ctx.Err() != nil || d.linked() != nil {
			return
		}
		o := d.b.attemptVia(d.name, via)
		d.b.cfg.Log.Debug("link through another core has ended", "neighbour", d.name, "via", via.theirs.Name, "up", o.up, "error", o.err)
		if o.up > 0 {
			return
		}
	}
}

// between lists the links to cores through which that of a name might be reached, in any order.
func (b *Bridge) between(name string) (found []*link) {
	for _, c := range b.coreList().cores {
		if l := b.relayTo(c.Name); c.Name != name && l != nil {
			at := int(b.cfg.Rand(uint64(len(found) + 1)))
			found = append(found, l)
			found[at], found[len(found)-1] = found[len(found)-1], found[at]
		}
	}
	return found
}

// sleep waits; false when ctx ended.
func (b *Bridge) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
