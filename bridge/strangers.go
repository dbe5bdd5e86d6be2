package bridge

import (
	"fmt"

	"mangrove/bridge/frame"
)

// Who may link makes a record here, and a queue that is kept for NeighbourExpiry, for each name that it says: so the names that are known
// are bounded.

// hasPlace tells whether a node of that name may link: it is known, as cores are that gossip has told of, or there is room for one more.
func (b *Bridge) hasPlace(name string) bool {
	b.mu.Lock()
	_, known := b.neighbours[name]
	room := len(b.neighbours) < b.cfg.MaxNeighbours
	b.mu.Unlock()
	if room {
		b.crowded.Store(false)
	}
	return known || room
}

// countNeighbours is how many names are known, those of cores and of pasts among them.
func (b *Bridge) countNeighbours() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.neighbours)
}

// refuseStranger ends a link for which there is no place. The log says so for each name (refused), and once what can be done.
func (l *link) refuseStranger(name string) {
	b := l.b
	b.metrics.strangers.Inc()
	if !b.crowded.Swap(true) {
		b.cfg.Log.Warn("as many nodes are known as may be: a new one is refused", "neighbour", name, "neighbours", b.cfg.MaxNeighbours,
			"hint", "raise link.neighbours, or let those that are gone for good go: mangrove link forget")
	}
	err := fmt.Errorf("no room for one more node: %d are known", b.cfg.MaxNeighbours)
	l.fail(err, &frame.Goaway{Code: frame.GoawayRefused, Retry: b.cfg.Backoff.Max, Text: err.Error()})
}
