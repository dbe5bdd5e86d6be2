package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// Two cores that have no line to each other are linked through a third one that both have a link to: RELAY frames on these two links
// carry what the cores say to each other. Such a connection is a circuit. It goes through one core, never through another
// circuit, so nothing runs in a circle.
//
//	x: link ─ detour ─┐ outbox of x's link to z                          ┌ outbox of z's link to y ─→ y: detour ─ link
//	                  └─────────── RELAY ──────────→ z: circuits.passing ─┘
//
// circuits knows those that end here and those that pass. A circuit lasts as long as both links under it. Safe for concurrent
// use; its mu is taken before link.mu.
type circuits struct {
	mu      sync.Mutex
	ends    map[uint64]*detour
	passing map[uint64]passing
}

// passing is the two links that a circuit joins here.
type passing struct{ from, to *link }

// other is the link that goes on from l; nil when l has no part in it.
func (p passing) other(l *link) *link {
	switch l {
	case p.from:
		return p.to
	case p.to:
		return p.from
	}
	return nil
}

// maxCircuits bounds the circuits that end at a node or pass it. A peer that opens more is told that there is no room.
const maxCircuits = 1024

var (
	errNoRelay    = errors.New("the core between has no link to it")
	errManyRelays = errors.New("too many links through this core")
	errRelayGone  = errors.New("the link to the core between has ended")
	errRelayFull  = errors.New("the core between does not get rid of the frames")
)

func newCircuits() circuits {
	return circuits{ends: map[uint64]*detour{}, passing: map[uint64]passing{}}
}

// add counts a circuit in: one that ends here, or passes.
func (c *circuits) add(id uint64, end *detour, p passing) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, taken := c.passing[id]
	switch {
	case taken || c.ends[id] != nil || len(c.ends)+len(c.passing) >= maxCircuits:
		return errManyRelays
	case end != nil && end.via.barred || end == nil && (p.from.barred || p.to.barred):
		return errRelayGone
	case end != nil:
		c.ends[id] = end
	default:
		c.passing[id] = p
	}
	return nil
}

// find looks for a circuit that l is under.
func (c *circuits) find(id uint64, l *link) (end *detour, next *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.ends[id]; d != nil && d.via == l {
		return d, nil
	}
	return nil, c.passing[id].other(l)
}

// remove takes a circuit out that l is under; false when it was out already.
func (c *circuits) remove(id uint64, l *link) (end *detour, next *link, was bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := c.ends[id]; d != nil && d.via == l {
		delete(c.ends, id)
		return d, nil, true
	}
	if next = c.passing[id].other(l); next != nil {
		delete(c.passing, id)
	}
	return nil, next, next != nil
}

// ending is how many circuits end here.
func (c *circuits) ending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ends)
}

// under lists the circuits that l is under, and lets no more begin.
func (c *circuits) under(l *link) (ids []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l.barred = true
	for id, d := range c.ends {
		if d.via == l {
			ids = append(ids, id)
		}
	}
	for id, p := range c.passing {
		if p.other(l) != nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// handleRelay takes a frame of a circuit, or passes it on.
func (l *link) handleRelay(body []byte) error {
	f, err := frame.DecodeRelay(body)
	switch {
	case err != nil:
		return err
	case l.n.scope != mqtt.ScopePeer || l.detour != nil:
		return errors.New("RELAY frame from who may not send one")
	}
	switch f.Op {
	case frame.RelayOpen:
		if err := l.openRelay(f, body); err != nil {
			l.log.Debug("link through this core refused", "from", f.From, "to", f.To, "error", err)
			l.relay(closing(f.Circuit, err))
		}
	case frame.RelayClose:
		l.b.closeCircuit(f.Circuit, l, errors.New(f.Text))
	default:
		l.carryOn(f, body)
	}
	return nil
}

// openRelay begins a circuit that ends here, or passes.
func (l *link) openRelay(f frame.Relay, body []byte) error {
	if f.To == l.b.cfg.Node {
		return l.b.acceptVia(l, f)
	}
	if f.From != l.theirs.Name {
		return fmt.Errorf("%q asks for %q: more than one core between", l.theirs.Name, f.From)
	}
	to := l.b.relayTo(f.To)
	if to == nil || to == l {
		return errNoRelay
	}
	if err := l.b.circuits.add(f.Circuit, nil, passing{l, to}); err != nil {
		return err
	}
	l.log.Debug("passing frames between cores that have no line to each other", "from", f.From, "to", f.To)
	to.relay(passage{body: bytes.Clone(body)})
	return nil
}

// relayTo is the link to a peer on which RELAY frames may be sent; nil = there is none.
func (b *Bridge) relayTo(name string) *link {
	n := b.lookup(name)
	if n == nil || n.scope != mqtt.ScopePeer {
		return nil
	}
	l := n.link.Load()
	if l == nil || l.detour != nil || l.stageNow() != stageUp || !l.theirs.Features.Has(frame.FeatureRelay) {
		return nil
	}
	return l
}

// carryOn takes or passes on a frame of a circuit that is there.
func (l *link) carryOn(f frame.Relay, body []byte) {
	end, next := l.b.circuits.find(f.Circuit, l)
	switch {
	case end != nil:
		end.take(f)
	case next == nil:
		l.relay(closing(f.Circuit, errRelayGone))
	case !next.relay(passage{body: bytes.Clone(body)}):
		l.relay(closing(f.Circuit, errRelayFull))
		l.b.closeCircuit(f.Circuit, l, errRelayFull)
	default:
		l.b.metrics.relayed.Inc()
	}
}

// closeCircuit ends a circuit that l is under, on the side that is not l's.
func (b *Bridge) closeCircuit(id uint64, l *link, why error) {
	end, next, was := b.circuits.remove(id, l)
	switch {
	case !was:
	case end != nil:
		end.end.Closed(fmt.Errorf("link through another core: %w", why))
	default:
		next.relay(closing(id, why))
	}
}

// closeCircuits ends those that l, which is over, was under.
func (l *link) closeCircuits() {
	for _, id := range l.b.circuits.under(l) {
		l.b.closeCircuit(id, l, errRelayGone)
	}
}

// passage is a RELAY frame that waits for the line.
type passage struct {
	body    []byte
	receipt *detour // in place of body: it is to be said how much of this circuit has come
}

func closing(circuit uint64, why error) passage {
	return passage{body: frame.Relay{Op: frame.RelayClose, Circuit: circuit, Text: why.Error()}.Append(nil)}
}

// outbox is the RELAY frames that are to be sent on a link. link.mu guards it.
type outbox struct {
	waiting []passage
	bytes   int
	turn    bool // run only: whether a passage is next, before a frame of the link's own
}

// maxOutbox bounds the bytes of them. The ends of a circuit have not more under way than a pace.MaxWindow: who fills this one is closed.
const maxOutbox = 32 << 20

// relay has a frame sent; false when there is no room for it. What closes a circuit has room always. Does not block.
func (l *link) relay(p passage) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out.bytes+len(p.body) > maxOutbox && len(p.body) > 1024 {
		return false
	}
	l.out.waiting = append(l.out.waiting, p)
	l.out.bytes += len(p.body)
	l.kick()
	return true
}

// sendPassage sends one frame of the outbox, if the line has room. Part of run.
func (l *link) sendPassage() (sent bool, err error) {
	l.mu.Lock()
	some := len(l.out.waiting) > 0
	l.mu.Unlock()
	if !some || !l.pace.room() {
		return false, nil
	}
	l.mu.Lock()
	p := l.out.waiting[0]
	l.out.waiting = l.out.waiting[1:]
	l.out.bytes -= len(p.body)
	l.mu.Unlock()
	body := p.body
	if p.receipt != nil {
		body = p.receipt.gotFrame()
	}
	return true, l.sendOnLine(frame.KindRelay, body, 0)
}
