package session

import "sync"

// gates makes what changes the life of one client's session happen one after the other.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	mu    sync.Mutex
	users int // guarded by gates.mu
}

// enter waits for the client's turn; leave ends it.
func (g *gates) enter(clientID string) (leave func()) {
	g.mu.Lock()
	if g.open == nil {
		g.open = make(map[string]*gate)
	}
	one := g.open[clientID]
	if one == nil {
		one = new(gate)
		g.open[clientID] = one
	}
	one.users++
	g.mu.Unlock()
	one.mu.Lock()
	return func() { g.leave(clientID, one) }
}

func (g *gates) leave(clientID string, one *gate) {
	one.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(g.open, clientID)
	}
}
