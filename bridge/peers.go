package bridge

import (
	"context"
	"slices"
	"sync"

	"mangrove/bridge/frame"
	"mangrove/internal/bell"
	"mangrove/mqtt"
	"strings"
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

// SetPeers tells a core of all cores; this node itself may be among them, so that edges hear of it too. Of each pair the node
// with the lower name dials. A peer that is not listed any more is not dialled; what it is owed stays for
// Config.NeighbourExpiry. Calls after Close do nothing.
func (b *Bridge) SetPeers(peers []Peer) {
	b.setCoreList(peers)
	listed := map[string]Peer{}
	for _, p := range peers {
		if p.Name == "" || p.Name == b.cfg.Node {
			continue
		}
		if _, err := b.meet(p.Name, mqtt.ScopePeer); err != nil {
			return
		}
		listed[p.Name] = p
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, d := range b.dialers {
		if p, ok := listed[name]; ok && p.Addr != "" {
			d.setAddr(p.Addr)
		} else {
			d.cancel()
			delete(b.dialers, name)
		}
	}
	for name, p := range listed {
		if b.dialers[name] == nil && p.Addr != "" && b.cfg.Node < name && !b.closed {
			b.startDialerLocked(p)
		}
	}
}

func (b *Bridge) setCoreList(peers []Peer) {
	list := new(coreList)
	for _, p := range peers {
		if p.Name != "" && p.Addr != "" && len(list.cores) < frame.MaxCores {
			list.cores = append(list.cores, frame.Core{Name: p.Name, Addr: p.Addr, Weight: p.Weight, Suspect: p.Suspect})
		}
	}
	slices.SortFunc(list.cores, func(x, y frame.Core) int { return strings.Compare(x.Name, y.Name) })
	if slices.Equal(list.cores, b.coreList().cores) {
		return
	}
	b.cores.Store(list)
	for _, n := range b.withScope(mqtt.ScopeEdge) {
		n.wake()
	}
}

// listed tells whether membership knows a peer: it is not forgotten then.
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
