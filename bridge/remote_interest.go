package bridge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/remote"
	"mangrove/internal/batch"
	"mangrove/internal/bytesread"
	"strings"
)

// What a broker may hold for us is in table Interest, under the uplink's number: address, 0, filter. A row is there before
// SUBSCRIBE leaves, and goes after UNSUBACK: so what is not wanted any more is withdrawn, also after a restart.

func heldKey(n *neighbour, addr, filter string) []byte {
	return interestKey(n.rec.num, addr+"\x00"+filter)
}

// subscription is one filter at the broker. On disk: QoS 1, identifier uvarint.
type subscription struct {
	qos byte
	id  uint32 // 0 = none: it overlaps with no other
}

func (s subscription) append(dst []byte) []byte {
	return binary.AppendUvarint(append(dst, s.qos), uint64(s.id))
}

// identifiers are those in use.
func identifiers(held map[string]subscription) map[uint32]bool {
	used := map[uint32]bool{}
	for _, s := range held {
		if s.id != 0 {
			used[s.id] = true
		}
	}
	return used
}

// loadHeld reads what the broker at addr may hold.
func (b *Bridge) loadHeld(n *neighbour, addr string) (held map[string]subscription, err error) {
	held = map[string]subscription{}
	prefix := heldKey(n, addr, "")
	err = b.cfg.Store.Scan(batch.Interest, prefix, interestKey(n.rec.num, addr+"\x01"), func(k, v []byte) bool {
		r := bytesread.New(v)
		s := subscription{qos: r.Uint8(), id: uint32(r.Count(268_435_455))}
		if filter, ok := bytes.CutPrefix(k, prefix); ok && r.Err() == nil {
			held[string(filter)] = s
		}
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("load subscriptions at %s: %w", addr, err)
	}
	return held, nil
}

// hear takes a change of what this node wants, and brings the broker's subscriptions in line when it is complete.
func (l *remoteLink) hear(ctx context.Context, f frame.Interest) error {
	if f.First {
		clear(l.wanted)
		l.complete = false
	}
	for _, w := range f.Entries {
		if w.Gone {
			delete(l.wanted, w.Filter)
		} else if mayWant(w.Filter) {
			l.wanted[w.Filter] = min(w.QoS, remoteQoS)
		}
	}
	if f.Last || !f.First && len(f.Entries) == 0 {
		l.complete = true
	}
	if !l.complete {
		return nil
	}
	return l.align(ctx, interest.Cover(l.b.uplink.shunned.without(l.b.cfg.Now(), l.wanted)))
}

// align subscribes to what is missing, then withdraws what is too much: in that order there is no gap.
func (l *remoteLink) align(ctx context.Context, target map[string]byte) error {
	var add []remote.Filter
	for filter, s := range l.plan(target) {
		if had, ok := l.granted[filter]; !ok || had != s {
			add = append(add, remote.Filter{Filter: filter, QoS: s.qos, ID: s.id, Quiet: ok || interest.Contains(l.granted, filter)})
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

// plan gives identifiers to filters that overlap, and the same QoS, so that it does not matter which copy of a
// message is taken. An identifier stays with its filter until that is withdrawn.
func (l *remoteLink) plan(target map[string]byte) map[string]subscription {
	overlapping, most := interest.Rivals(target), byte(0)
	for filter := range overlapping {
		most = max(most, target[filter])
	}
	planned := make(map[string]subscription, len(target))
	for filter, qos := range target {
		s := subscription{qos: qos, id: l.held[filter].id}
		if overlapping[filter] {
			s.qos = most
			if s.id == 0 {
				s.id = l.freshID()
			}
		}
		planned[filter] = s
	}
	return planned
}

// freshID picks an identifier that no message on its way can carry.
func (l *remoteLink) freshID() uint32 {
	const most = 268_435_455
	return 1 + uint32(l.b.cfg.Rand(most))
}

func (l *remoteLink) subscribe(ctx context.Context, filters []remote.Filter) error {
	if len(filters) == 0 {
		return nil
	}
	slices.SortFunc(filters, func(x, y remote.Filter) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), strings.Compare(x.Filter, y.Filter))
	})
	writes := new(batch.Batch)
	for _, f := range filters {
		s := subscription{qos: f.QoS, id: f.ID}
		writes.Put(batch.Interest, heldKey(l.n, l.addr, f.Filter), s.append(nil))
		l.held[f.Filter], l.granted[f.Filter] = s, s
	}
	if err := l.b.cfg.Store.CommitWait(writes); err != nil {
		return fmt.Errorf("keep subscriptions: %w", err)
	}
	l.copies.Use(identifiers(l.held))
	for len(filters) > 0 {
		n := l.b.uplink.shunned.together(len(filters), func(i int) string { return filters[i].Filter })
		if err := l.ask(ctx, filters[:n]); err != nil {
			return err
		}
		filters = filters[n:]
	}
	return nil
}

// ask subscribes to a few filters.
func (l *remoteLink) ask(ctx context.Context, filters []remote.Filter) error {
	names := make([]string, len(filters))
	for i, f := range filters {
		names[i] = f.Filter
	}
	refused, err := l.conn.Subscribe(ctx, filters)
	for _, f := range refused {
		l.log.Warn("broker does not grant a subscription", "filter", f.Filter)
	}
	if err != nil {
		return l.objected(err, names)
	}
	l.b.uplink.shunned.grants(names)
	return nil
}

func (l *remoteLink) unsubscribe(ctx context.Context, filters []string) error {
	if len(filters) == 0 {
		return nil
	}
	slices.Sort(filters)
	for _, filter := range filters {
		delete(l.held, filter)
		delete(l.granted, filter)
	}
	l.copies.Use(identifiers(l.held))
	for len(filters) > 0 {
		n := l.b.uplink.shunned.together(len(filters), func(i int) string { return filters[i] })
		if err := l.withdraw(ctx, filters[:n]); err != nil {
			return err
		}
		filters = filters[n:]
	}
	return nil
}

// withdraw unsubscribes from a few filters. One at which the broker ends the connection is no longer taken for held.
func (l *remoteLink) withdraw(ctx context.Context, filters []string) error {
	s := &l.b.uplink.shunned
	if !s.has(l.b.cfg.Now(), filters[0]) {
		if err := l.conn.Unsubscribe(ctx, filters); err != nil {
			return l.objected(err, filters)
		}
		s.grants(filters)
	}
	writes := new(batch.Batch)
	for _, filter := range filters {
		writes.Delete(batch.Interest, heldKey(l.n, l.addr, filter))
	}
	l.b.cfg.Store.Commit(writes)
	return nil
}
