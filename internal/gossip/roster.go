package gossip

import (
	"cmp"
	"slices"
	"time"
)

// Member is another node of the pool.
type Member struct {
	Name  string
	Addr  string // gossip host:port
	Meta  Meta
	State State
}

// State is what gossip thinks of a member.
type State string

const (
	Alive   State = "alive"
	Suspect State = "suspect" // gossip holds it for dead; it leaves the list after SuspectFor
)

// entry is one start of a node.
//
//	joined ─→ alive ─gossip death→ suspect ─SuspectFor→ gone
//	            └─── said goodbye ──────────────────────→ gone
type entry struct {
	announcement
	addr  string
	alive bool
	died  time.Time // when it became suspect
}

// roster is who is there: by memberlist name, one entry for each start of a node. Pure state.
type roster struct {
	self       string // node name of this node, never reported
	suspectFor time.Duration
	entries    map[string]*entry
	lost       map[string]lostNode // by gossip address
}

// lostNode is a node that died without goodbye. It may be on the other side of a partition, so its
// address is tried again.
type lostNode struct {
	name string
	at   time.Time
}

const (
	// maxLost bounds how many lost addresses are tried again; above it the longest lost is forgotten.
	maxLost = 64
	// lostFor is how long a lost address is tried again.
	lostFor = time.Hour
)

func newRoster(self string, suspectFor time.Duration) *roster {
	return &roster{self: self, suspectFor: suspectFor, entries: map[string]*entry{}, lost: map[string]lostNode{}}
}

// seen notes that memberlist holds key for alive and what it announces.
func (r *roster) seen(key, addr string, a announcement) {
	delete(r.lost, addr)
	if a.leaving {
		delete(r.entries, key)
		return
	}
	r.entries[key] = &entry{announcement: a, addr: addr, alive: true}
}

// gone notes that memberlist holds key for dead or left. Who said goodbye has no entry any more.
func (r *roster) gone(key string, now time.Time) {
	e := r.entries[key]
	if e == nil || !e.alive {
		return
	}
	e.alive, e.died = false, now
	r.lost[e.addr] = lostNode{e.name, now}
	if len(r.lost) > maxLost {
		delete(r.lost, r.longestLost())
	}
}

func (r *roster) longestLost() (addr string) {
	for a, l := range r.lost {
		if addr == "" || l.at.Before(r.lost[addr].at) {
			addr = a
		}
	}
	return addr
}

// sweep forgets what is over at now, and tells when to sweep again; zero = not needed.
func (r *roster) sweep(now time.Time) (next time.Time) {
	for key, e := range r.entries {
		if e.alive {
			continue
		}
		over := e.died.Add(r.suspectFor)
		if !now.Before(over) {
			delete(r.entries, key)
		} else if next.IsZero() || over.Before(next) {
			next = over
		}
	}
	for addr, l := range r.lost {
		if now.Sub(l.at) >= lostFor {
			delete(r.lost, addr)
		}
	}
	return next
}

// members is one member for each node name but our own, sorted by name.
func (r *roster) members() []Member {
	best := map[string]*entry{}
	for _, e := range r.entries {
		if e.name != r.self && (best[e.name] == nil || e.before(best[e.name])) {
			best[e.name] = e
		}
	}
	list := make([]Member, 0, len(best))
	for _, e := range best {
		list = append(list, e.member())
	}
	slices.SortFunc(list, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// before orders the starts of one node name: live first, then the latest start.
func (e *entry) before(o *entry) bool {
	switch {
	case e.alive != o.alive:
		return e.alive
	case e.started != o.started:
		return e.started > o.started
	}
	return e.addr > o.addr
}

func (e *entry) member() Member {
	m := Member{Name: e.name, Addr: e.addr, Meta: e.Meta, State: Suspect}
	if e.alive {
		m.State = Alive
	}
	return m
}

// living tells whether addr is the address of a live member.
func (r *roster) living(addr string) bool {
	for _, e := range r.entries {
		if e.alive && e.addr == addr {
			return true
		}
	}
	return false
}

// lostAddrs are the addresses of lost nodes that did not come back elsewhere.
func (r *roster) lostAddrs() (addrs []string) {
	back := map[string]bool{}
	for _, e := range r.entries {
		back[e.name] = back[e.name] || e.alive
	}
	for addr, l := range r.lost {
		if !back[l.name] {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	return addrs
}

// impostor is another live node that bears our own name, if there is one.
func (r *roster) impostor(own string) (addr string, found bool) {
	for key, e := range r.entries {
		if key != own && e.alive && e.name == r.self {
			return e.addr, true
		}
	}
	return "", false
}

// alone tells that no live member is left.
func (r *roster) alone() bool {
	for _, e := range r.entries {
		if e.alive {
			return false
		}
	}
	return true
}
