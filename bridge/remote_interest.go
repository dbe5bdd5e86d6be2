package bridge

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"mangrove/bridge/remote"
	"mangrove/internal/store"
)

// What a broker may hold for us is in table Interest, under the uplink's number: address, 0, filter. A row is there before
// SUBSCRIBE leaves, and goes after UNSUBACK: so what is not wanted any more is withdrawn, also after a restart.

func heldKey(n *Neighbour, addr, filter string) []byte {
	return interestKey(n.rec.num, addr+"\x00"+filter)
}

// loadHeld reads what the broker at addr may hold.
func (b *Bridge) loadHeld(n *Neighbour, addr string) (held map[string]byte, err error) {
	held = map[string]byte{}
	prefix := heldKey(n, addr, "")
	err = b.cfg.Store.Scan(store.Interest, prefix, interestKey(n.rec.num, addr+"\x01"), func(k, v []byte) bool {
		if filter, ok := bytes.CutPrefix(k, prefix); ok && len(v) == 1 {
			held[string(filter)] = v[0]
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("load subscriptions at %s: %w", addr, err)
	}
	return held, nil
}

// hear takes a change of what this node wants, and brings the broker's subscriptions in line when it is complete.
func (l *remoteLink) hear(ctx context.Context, f interestFrame) error {
	if f.first {
		clear(l.wanted)
		l.complete = false
	}
	for _, w := range f.entries {
		if w.gone {
			delete(l.wanted, w.filter)
		} else if mayWant(w.filter) {
			l.wanted[w.filter] = min(w.qos, remoteQoS)
		}
	}
	if f.last || !f.first && len(f.entries) == 0 {
		l.complete = true
	}
	if !l.complete {
		return nil
	}
	return l.align(ctx, cover(l.wanted))
}

// align subscribes to what is missing, then withdraws what is too much: in that order there is no gap.
func (l *remoteLink) align(ctx context.Context, target map[string]byte) error {
	var add []remote.Filter
	for filter, qos := range target {
		if had, ok := l.granted[filter]; !ok || had != qos {
			add = append(add, remote.Filter{Filter: filter, QoS: qos, Quiet: ok || contains(l.granted, filter)})
		}
	}
	if err := l.subscribe(ctx, add); err != nil {
		return err
	}
	var gone []string
	for filter := range l.held {
		if _, ok := target[filter]; !ok {
			gone = append(gone, filter)
		}
	}
	return l.unsubscribe(ctx, gone)
}

func (l *remoteLink) subscribe(ctx context.Context, filters []remote.Filter) error {
	if len(filters) == 0 {
		return nil
	}
	slices.SortFunc(filters, func(x, y remote.Filter) int { return compareStrings(x.Filter, y.Filter) })
	batch := new(store.Batch)
	for _, f := range filters {
		batch.Put(store.Interest, heldKey(l.n, l.addr, f.Filter), []byte{f.QoS})
		l.held[f.Filter] = f.QoS
		l.granted[f.Filter] = f.QoS
	}
	if err := l.b.keep(batch); err != nil {
		return fmt.Errorf("keep subscriptions: %w", err)
	}
	refused, err := l.conn.Subscribe(ctx, filters)
	for _, f := range refused {
		l.log.Warn("broker does not grant a subscription", "filter", f.Filter)
	}
	return err
}

func (l *remoteLink) unsubscribe(ctx context.Context, filters []string) error {
	if len(filters) == 0 {
		return nil
	}
	slices.Sort(filters)
	if err := l.conn.Unsubscribe(ctx, filters); err != nil {
		return err
	}
	batch := new(store.Batch)
	for _, filter := range filters {
		batch.Delete(store.Interest, heldKey(l.n, l.addr, filter))
		delete(l.held, filter)
		delete(l.granted, filter)
	}
	l.b.cfg.Store.Commit(batch)
	return nil
}

// keep commits batch and waits until it is stable.
func (b *Bridge) keep(batch *store.Batch) error {
	kept := make(waiter, 1)
	batch.Notify(kept, 0)
	b.cfg.Store.Commit(batch)
	return <-kept
}
