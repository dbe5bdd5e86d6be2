package bridge

import (
	"context"
	"time"

	"mangrove/bridge/frame"
	"mangrove/mqtt"
)

// leaving is a link's part in telling a peer, before this core stops, what is to be kept for it: KEEP comes behind all that peers
// must know of edges here.
type leaving struct {
	keep  []string      // still to be said; run only
	said  bool          // all is; run only
	after uint64        // the position in the peer's queue that must have arrived before
	done  chan struct{} // closed then
}

// leavePatience bounds how long a stop may take longer because peers are told what to keep. One that is not told keeps everything.
const leavePatience = 2 * time.Second

// Leave tells the peers that this core is about to stop, and that of all filters it told them those of keep are wanted by sessions that
// outlast the stop. From then on no more edges are taken. It returns when that is said, or after a moment. Close must follow. On an edge it does
// nothing.
func (b *Bridge) Leave(ctx context.Context, keep []string) {
	if b.cfg.Role != RoleCore {
		return
	}
	b.leaves.Store(true)
	ctx, cancel := context.WithTimeout(ctx, leavePatience)
	defer cancel()
	var told []*link
	for _, n := range b.withScope(mqtt.ScopePeer) {
		l := n.link.Load()
		if l == nil || l.stageNow() != stageUp {
			continue
		}
		if l.farewellTo.CompareAndSwap(nil, &leaving{keep: keep, after: n.queue.Last(), done: make(chan struct{})}) {
			told = append(told, l)
			l.kick()
		}
	}
	for _, l := range told {
		select {
		case <-l.farewellTo.Load().done:
		case <-l.gone:
		case <-ctx.Done():
			return
		}
	}
}

// sendKeep sends the next part of what is to be kept. Part of run.
func (l *link) sendKeep(maxBytes int) (sent bool, err error) {
	t := l.farewellTo.Load()
	if t == nil || t.said || !l.n.queue.Passed(t.after) {
		return false, nil
	}
	n, size := 0, 0
	for n < len(t.keep) && n < frame.MaxEntries && size <= maxBytes {
		size += len(t.keep[n])
		n++
	}
	f := frame.Keep{Last: n == len(t.keep), Filters: t.keep[:n]}
	t.keep = t.keep[n:]
	err = l.sendOnLine(frame.KindKeep, f.Append(nil), 0)
	if f.Last {
		t.said = true
		close(t.done)
	}
	return true, err
}

// handleKeep hears what is to be kept for a peer that is about to stop. It is of use only where both ends compare retained messages when it
// is back.
func (l *link) handleKeep(body []byte) error {
	f, err := frame.DecodeKeep(body)
	switch {
	case err != nil:
		return err
	case l.n.scope != mqtt.ScopePeer || !l.mayHeal():
		return nil
	}
	if l.kept == nil {
		l.kept = map[string]struct{}{}
	}
	for _, filter := range f.Filters {
		l.kept[filter] = struct{}{}
	}
	if len(l.kept) > l.b.cfg.MaxInterest {
		return errTooManyFilters
	}
	if f.Last {
		l.n.setKeep(l, l.kept)
		l.kept = nil
	}
	return nil
}
