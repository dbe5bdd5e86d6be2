package bridge

import (
	"context"
	"slices"
	"sync"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/mqtt"
)

// Peer is another core as membership knows it.
type Peer struct {
	Name    string
	Store   uint64 // its store id; 0 = not known. Told for information: HELLO decides.
	Addr    string // of its listener for links, as mqtt/transport.ParseAddr reads it
	Weight  int
	Suspect bool
}

// coreList is what edges are told; replaced as a whole.
type coreList struct{ cores []frame.Core }

func (b *Bridge) coreList() *coreList { return b.cores.Load() }

// SetPeers tells a core which cores gossip knows; this node itself may be among them, so that edges hear of it too. Of each pair the node
// with the lower name dials. A peer that was suspect and is not listed any more is dialled on at its last address, also by a later run, until
// it is forgotten: its link decides. One that was not suspect has said goodbye, and is dialled no more; what it is owed stays for
// Config.NeighbourExpiry. Calls after Close do nothing.
func (b *Bridge) SetPeers(peers []Peer) {
	for _, p := range peers {
		if p.Name == "" || p.Name == b.cfg.Node {
			continue
		}
		n, err := b.meet(p.Name, mqtt.ScopePeer)
		if err != nil {
			return
		}
		if n != nil && p.Addr != "" {
			n.keepAddr([]frame.Core{{Name: p.Name, Addr: p.Addr, Weight: p.Weight}})
		}
	}
	b.mu.Lock()
	left, lost := b.members.hear(peers)
	b.dialPeersLocked()
	b.mu.Unlock()
	for _, name := range left {
		if n := b.lookup(name); n != nil {
			n.keepAddr(nil)
		}
	}
	for _, name := range lost {
		if b.linkIsUp(name) {
			b.cfg.Log.Warn("gossip has lost a core whose link is up: the link counts; is the way for gossip blocked?", "neighbour", name)
		}
	}
	b.tellCores()
}

// keepAddr keeps where the peer was heard of last, for a run that does not hear of it. nil = it said goodbye.
func (n *neighbour) keepAddr(cores []frame.Core) {
	if slices.Equal(n.snapshot().cores, cores) {
		return
	}
	writes := new(batch.Batch)
	n.update(writes, func(r *record) { r.cores = cores })
	n.b.cfg.Store.Commit(writes)
}

// dialPeersLocked starts and stops dialling as the membership is.
func (b *Bridge) dialPeersLocked() {
	wanted := b.members.dialled()
	for name, d := range b.dialers {
		if p, ok := wanted[name]; ok {
			d.setAddr(p.Addr)
		} else {
			d.cancel()
			delete(b.dialers, name)
		}
	}
	for name, p := range wanted {
		if b.dialers[name] == nil && b.cfg.Node < name && !b.closed {
			b.startDialerLocked(p)
		}
	}
}

// tellCores brings up to date what edges are told of cores.
func (b *Bridge) tellCores() {
	b.mu.Lock()
	list := &coreList{b.members.told(b.linkIsUpLocked)}
	same := slices.Equal(list.cores, b.coreList().cores)
	if !same {
		b.cores.Store(list)
	}
	b.mu.Unlock()
	if same {
		return
	}
	for _, n := range b.withScope(mqtt.ScopeEdge) {
		n.wake()
	}
}

// linkTurned is called when the link to n has come up or is over.
func (b *Bridge) linkTurned(n *neighbour) {
	if n.scope == mqtt.ScopePeer {
		b.tellCores()
	}
}

func (b *Bridge) linkIsUp(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.linkIsUpLocked(name)
}

func (b *Bridge) linkIsUpLocked(name string) bool {
	n := b.neighbours[name]
	if n == nil {
		return false
	}
	l := n.link.Load()
	if l == nil {
		return false
	}
	_, at := l.farEnd()
	return at == stageUp
}

// isLost reports whether gossip has lost a peer.
func (b *Bridge) isLost(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, lost := b.members.lost[name]
	return lost
}

// isDoubted reports whether gossip suspects a peer, or has lost it, whatever its link says.
func (b *Bridge) isDoubted(name string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, lost := b.members.lost[name]
	return lost || b.members.listed[name].Suspect
}

// forgetPeer ends the dialling of a peer that gossip has lost and that is forgotten.
func (b *Bridge) forgetPeer(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.members.lost, name)
	b.dialPeersLocked()
}

// listed tells whether edges are told of a peer: it is not forgotten then.
func (b *Bridge) listed(name string) bool {
	return slices.ContainsFunc(b.coreList().cores, func(c frame.Core) bool { return c.Name == name })
}

// peerDialer keeps up the link to one peer.
type peerDialer struct {
	b       *Bridge
	name    string
	cancel  context.CancelFunc
	changed bell.Bell // addr is another

	mu   sync.Mutex
	addr string
}

func (b *Bridge) startDialerLocked(p Peer) {
	ctx, cancel := context.WithCancel(b.ctx)
	d := &peerDialer{b: b, name: p.Name, addr: p.Addr, cancel: cancel, changed: bell.New()}
	b.dialers[p.Name] = d
	b.running.Add(2)
	go d.run(ctx)     // owned by the Bridge, ends with SetPeers or Close, which waits by running
	go d.detours(ctx) // the same
}

func (d *peerDialer) setAddr(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.addr == addr {
		return
	}
	d.addr = addr
	d.changed.Ring()
}

func (d *peerDialer) address() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.addr
}

func (d *peerDialer) run(ctx context.Context) {
	defer d.b.running.Done()
	defer d.cancel()
	for failures := 0; ctx.Err() == nil; failures++ {
		n := d.b.lookup(d.name)
		if n != nil {
			if !n.waitForLine(ctx) {
				return
			}
			n.setDialling(d.address())
		}
		o := d.b.attempt(ctx, d.name, d.address(), nil)
		if d.b.lasted(o) {
			failures = 0
		}
		if n != nil {
			n.ended(o)
		}
		if ctx.Err() != nil || !d.b.pause(ctx, failures, o.retry, d.changed) {
			return
		}
	}
}

// waitForLine returns when there is no direct link that an earlier dialler has left; false when ctx ended.
func (n *neighbour) waitForLine(ctx context.Context) bool {
	for l := n.link.Load(); l != nil && l.detour == nil; l = n.link.Load() {
		select {
		case <-l.gone:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
