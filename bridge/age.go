package bridge

import (
	"time"

	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// age forgets neighbours that have been away for too long, until ctx ends.
func (b *Bridge) age() {
	defer b.running.Done()
	period := min(b.cfg.NeighbourExpiry, b.cfg.MovedLinger, 8*b.cfg.SettleTime) / 8
	ticker := time.NewTicker(min(max(period, 10*time.Millisecond), time.Minute))
	defer ticker.Stop()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-ticker.C:
		}
		for _, n := range b.all() {
			n.age(b.cfg.Now())
			n.agePart(b.cfg.Now())
		}
	}
}

// age looks after the neighbour's lifetime: an edge that moved is forgotten after MovedLinger when nothing is left to
// hand over, any other after NeighbourExpiry without a link, with what it was owed.
func (n *neighbour) age(now time.Time) {
	rec, cfg := n.snapshot(), &n.b.cfg
	switch {
	case n.scope == mqtt.ScopeUplink:
	case n.past.Load() != nil:
		n.agePast(now)
	case n.Online():
		if n.scope == mqtt.ScopePeer && n.queue.Empty() {
			n.forgetLeft()
		}
		if now.Sub(rec.lastSeen) > cfg.NeighbourExpiry/8 {
			writes := new(batch.Batch)
			n.update(writes, func(r *record) { r.lastSeen = now })
			cfg.Store.Commit(writes)
		}
	case !rec.moved.IsZero() && now.Sub(rec.moved) > cfg.MovedLinger && n.queue.Empty(),
		now.Sub(rec.lastSeen) > cfg.NeighbourExpiry && !n.b.listed(n.name):
		n.remove(lane.DropNeighbourGone)
	}
}

// remove forgets the neighbour. The first call takes it out of the Router; when nothing that was delivered
// before is on its way to the disk, its rows go. reason is what the messages it was owed are counted as; gone tells that
// it is forgotten, lost how many those were.
func (n *neighbour) remove(reason string) (lost Lost, gone bool) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	taker := n.takerLocked()
	for filter := range n.wants.All() {
		n.b.cfg.Router.Unsubscribe(taker, filter)
	}
	n.wants = interest.Set{}
	n.b.holders.leave(n)
	if !n.closeQueue() {
		return Lost{}, false // it is back, or the next round will find it settled
	}
	if m := n.mover.Swap(nil); m != nil {
		m.stop()
		<-m.done
	}
	if lost.Messages, lost.Bytes = n.queue.Backlog(); lost.Messages > 0 && n.past.Load() == nil {
		n.b.metrics.dropped(reason, lost.Messages)
		n.b.cfg.Log.Warn("neighbour forgotten with its queue", "neighbour", n.name, "messages", lost.Messages)
	}
	if n.scope == mqtt.ScopePeer && n.past.Load() == nil {
		n.b.forgetPeer(n.name)
	}
	writes := new(batch.Batch)
	n.mu.Lock()
	key := n.key
	n.mu.Unlock()
	writes.Delete(batch.Neighbours, []byte(key))
	n.queue.Forget(writes)
	writes.DeleteRange(batch.Interest, interestKey(n.rec.num, ""), interestKey(n.rec.num+1, ""))
	n.b.cfg.Store.Commit(writes)
	n.b.mu.Lock()
	delete(n.b.neighbours, key)
	n.b.mu.Unlock()
	if _, elsewhere := n.b.whereIs(n.name); n.scope == mqtt.ScopeEdge && !elsewhere {
		n.b.presence.forget(n.name)
	}
	return lost, true
}

// closeQueue closes the queue unless there is a link. settled is as of Queue.Close.
func (n *neighbour) closeQueue() (settled bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.link.Load() == nil && n.queue.Close()
}
