package session

import "sync"

// gates makes what changes the life of one client's session happen one after the other.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	all      *gates
	clientID string
	mu       sync.Mutex
	users    int // guarded by gates.mu
}

// idleGates recycles gates that no client uses.
var idleGates = sync.Pool{New: func() any { return new(gate) }}

// enter waits for the client's turn, which gate.leave ends.
func (g *gates) enter(clientID string) *gate {
	g.mu.Lock()
	if g.open == nil {
		g.open = make(map[string]*gate)
	}
	one := g.open[clientID]
	if one == nil {
		one = idleGates.Get().(*gate)
		one.all, one.clientID = g, clientID
		g.open[clientID] = one
	}
	one.users++
	g.mu.Unlock()
	one.mu.Lock()
	return one
}

func (g *gate) leave() {
	g.mu.Unlock()
	all := g.all
	all.mu.Lock()
	defer all.mu.Unlock()
	if g.users--; g.users == 0 {
		delete(all.open, g.clientID)
		g.all, g.clientID = nil, ""
		idleGates.Put(g)
	}
}
