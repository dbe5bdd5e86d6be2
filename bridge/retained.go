package bridge

import (
	"sync"
	"time"

	"mangrove/bridge/interest"
	"mangrove/bridge/reconcile"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// Retained is what a Bridge needs of the retained messages: to find them for a new neighbour or subscription, and to compare them
// with those of a neighbour. Safe for concurrent use.
type Retained interface {
	mqtt.Retained

	// Held visits what is known of the topics that match filter, clearings included, while visit returns true.
	Held(filter string, visit func(mqtt.Held) bool)
	// Newest is the message that is retained for topic, or one that clears it; nil = nothing is known.
	Newest(topic string) *mqtt.Message
	// Wants reports whether a message of that version would take the place of what is known of topic.
	Wants(topic string, v mqtt.Version) bool
	// Room is how many more messages there is room for.
	Room() int
	// LetGo forgets the messages that came from elsewhere and are not wanted.
	LetGo(wanted func(topic string) bool) int
	// Changes rises with each change of what is held.
	Changes() uint64
	// Hear takes what a neighbour's Clock shows; false = it is too far ahead to go by.
	Hear(milli int64, follow bool) bool
	// Clock is the time of the fleet in Unix milliseconds, as far as this node knows it.
	Clock() int64
}

// snapshots makes an Index of what is retained here for all conversations of a moment. Safe for concurrent use.
type snapshots struct {
	mu      sync.Mutex
	index   *reconcile.Index
	at      time.Time // when its making began
	changes uint64    // as of at
	next    time.Time // when another may be made: making them takes a quarter of one processor at most
}

// snapshotKeep is how long an Index is kept in memory for others to use.
const snapshotKeep = time.Minute

// get returns an Index that has all changes up to after, and Retained.Changes as of its making; nil = later.
func (s *snapshots) get(b *Bridge, after time.Time) (index *reconcile.Index, made uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := b.cfg.Now()
	changes := b.cfg.Retained.Changes()
	if s.index != nil && (!s.at.Before(after) || s.changes == changes) {
		return s.index, s.changes
	}
	if now.Before(s.next) {
		return nil, 0
	}
	s.index, s.at, s.changes = b.newIndex(), now, changes
	s.next = now.Add(4 * b.cfg.Now().Sub(now))
	return s.index, s.changes
}

// forget lets go of an Index that nobody has asked for.
func (s *snapshots) forget(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index != nil && now.Sub(s.at) > snapshotKeep {
		s.index = nil
	}
}

// newIndex is what this node holds and may tell of. What an edge keeps to itself it does not compare.
func (b *Bridge) newIndex() *reconcile.Index {
	var items []reconcile.Item
	b.cfg.Retained.Held("#", func(h mqtt.Held) bool {
		if topic.Crosses(h.Topic) && (!h.Here || b.goesUp(h.Topic)) {
			items = append(items, reconcile.Item{
				Key: reconcile.KeyOf(h.Topic), Stamp: uint64(h.Version.Time), Tie: reconcile.TieOf(h.Version.Origin.Life, h.Version.Origin.Seq),
				Gone: h.Cleared, Mine: h.Here && b.cfg.Role == RoleEdge, Topic: h.Topic,
			})
		}
		return true
	})
	return reconcile.NewIndex(items)
}

// goesUp tells whether this node sends a topic's messages on: an edge only those of UplinkFilters.
func (b *Bridge) goesUp(name string) bool {
	if b.cfg.Role != RoleEdge {
		return true
	}
	for _, f := range b.cfg.UplinkFilters {
		if topic.Match(f, name) {
			return true
		}
	}
	return false
}

// concerns is what of x is compared with n: all with the cores; with an edge what it wants, and what its clients publish to.
func (b *Bridge) concerns(n *neighbour, x *reconcile.Index) *reconcile.Set {
	if n.scope != mqtt.ScopeEdge {
		return x.All()
	}
	keys := b.holders.keysOf(n)
	for _, filter := range n.wanted() {
		if filter == "#" {
			return x.All()
		}
		b.cfg.Retained.Held(filter, func(h mqtt.Held) bool {
			keys = append(keys, reconcile.KeyOf(h.Topic))
			return true
		})
	}
	return x.Some(keys)
}

// pruneHolders forgets holders of topics that are not held here any more, when there are many.
func (b *Bridge) pruneHolders() {
	held := 0
	if b.holders.len() > 1024 {
		b.cfg.Retained.Held("#", func(mqtt.Held) bool { held++; return true })
	}
	if b.holders.len() <= 1024+2*held {
		return
	}
	keys := make(map[uint64]struct{}, held)
	b.cfg.Retained.Held("#", func(h mqtt.Held) bool { keys[reconcile.KeyOf(h.Topic)] = struct{}{}; return true })
	b.holders.keep(func(key uint64, _ *neighbour) bool { _, ok := keys[key]; return ok })
}

// newest finds what is to be told of a topic, with a body id; nil when nothing is known.
func (b *Bridge) newest(name string) *mqtt.Message {
	m := b.cfg.Retained.Newest(name)
	if m == nil || m.ID != 0 {
		return m
	}
	numbered := *m
	numbered.ID = b.cfg.Store.NextID()
	return &numbered
}

// letGo forgets what came from the cores and is not wanted any more: an edge does not hear when it changes. It waits until they have
// been told so: when it is wanted again, they send it again. run of the uplink's link calls it. What was on its way then is
// found by lookAgain.
func (b *Bridge) letGo(f *interest.Follower) {
	u, withdrawn := b.uplink, b.announcer.Withdrawn()
	if b.cfg.Retained == nil || u.follower == f && u.withdrawn == withdrawn && !u.look.Load() {
		return
	}
	filters, ok := f.Announced()
	if !ok {
		return
	}
	told, _ := f.Told()
	u.look.Store(false)
	u.follower, u.withdrawn = f, withdrawn
	var tree topic.Tree[int, struct{}]
	for i, filter := range filters {
		tree.Set(filter, i, struct{}{})
	}
	n := b.cfg.Retained.LetGo(func(name string) (wanted bool) {
		tree.Match(name, func(int, struct{}) { wanted = true })
		return wanted
	})
	if n > 0 {
		b.cfg.Log.Debug("retained messages that nobody wants any more are let go", "messages", n)
	}
	if again, ok := f.Told(); !ok || again != told {
		u.n.doubt() // something of it may be wanted since
	}
}

// lookAgain has letGo look once more when something has changed since changes.
func (b *Bridge) lookAgain(changes *uint64) {
	if now := b.cfg.Retained.Changes(); now != *changes {
		*changes = now
		b.uplink.look.Store(true)
		b.uplink.n.wake()
	}
}
