package router

import (
	"slices"
	"sync"

	"mangrove/mqtt"
)

// groupKey names a shared subscription: "$share/name/filter".
type groupKey struct{ name, filter string }

// group is one shared subscription. To the tree it is one Subscriber; it hands each message to one
// of its members (section 4.8.2). What a member was given is its session's, which hands over what it may when it ends.
type group struct {
	balance Balance

	mu      sync.Mutex
	members []Member // in the order they joined; replaced, never changed in place
}

// Member is one subscriber of a shared subscription.
type Member struct {
	Subscriber   mqtt.Subscriber
	Subscription mqtt.Subscription
}

// joinLocked adds s to a group or replaces its subscription, which was old. The Router's lock is held.
func (r *Router) joinLocked(key groupKey, s mqtt.Subscriber, sub mqtt.Subscription) (old terms, existed bool) {
	g := r.groups[key]
	if g == nil {
		g = &group{balance: r.cfg.Balance()}
		r.groups[key] = g
		g.set(Member{s, sub})
		// What a member gets is decided by its own subscription, so the group takes everything as it is.
		r.tree.Set(key.filter, g, terms{qos: 2, rap: true})
		return old, false
	}
	return g.set(Member{s, sub})
}

// leaveLocked removes s from a group, where it had old, and the group with its last member. The Router's lock is held.
func (r *Router) leaveLocked(key groupKey, s mqtt.Subscriber) (old terms, existed bool) {
	g := r.groups[key]
	if g == nil {
		return old, false
	}
	old, existed, left := g.remove(s)
	if left == 0 {
		delete(r.groups, key)
		r.tree.Delete(key.filter, g)
	}
	return old, existed
}

// set adds a member or replaces what it had.
func (g *group) set(m Member) (old terms, existed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	members := slices.Clone(g.members)
	if i := indexOf(members, m.Subscriber); i >= 0 {
		old, existed, members[i] = termsOf(members[i].Subscription), true, m
	} else {
		members = append(members, m)
	}
	g.members = members
	return old, existed
}

func (g *group) remove(s mqtt.Subscriber) (old terms, existed bool, left int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := indexOf(g.members, s); i >= 0 {
		old, existed = termsOf(g.members[i].Subscription), true
		g.members = slices.Delete(slices.Clone(g.members), i, i+1)
	}
	return old, existed, len(g.members)
}

// all returns the members, which the caller must not change.
func (g *group) all() []Member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members
}

func indexOf(members []Member, s mqtt.Subscriber) int {
	return slices.IndexFunc(members, func(m Member) bool { return m.Subscriber == s })
}

// Deliver implements mqtt.Subscriber: one member gets the message, with the QoS it was granted. [MQTT-4.8.2-3] The one that
// was picked is asked first. Who has no room, or has ended since the match was made, takes nothing, and the next is asked; when none has
// room, the first does what its queue does when it is full.
func (g *group) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	if m.Replay {
		return // retained messages are not sent to shared subscriptions (section 4.8.2)
	}
	all, some, first := g.pick(m)
	switch {
	case len(some) > 1 && ask(some, first, m, d, r, true):
	case ask(some, first, m, d, r, false):
	default: // all of those have ended
		ask(all, 0, m, d, r, false)
	}
}

// ask asks members in turn, and reports whether one took the message.
func ask(members []Member, first int, m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt, offered bool) bool {
	for i := range members {
		to := &members[(first+i)%len(members)]
		mine := to.delivery(m, d)
		mine.Offered = offered
		before := r.Taken()
		to.Subscriber.Deliver(m, mine, r)
		if r.Taken() > before {
			return true
		}
	}
	return false
}

// delivery is what d, which is the group's, becomes for one member.
func (to *Member) delivery(m *mqtt.Message, d mqtt.Delivery) mqtt.Delivery {
	sub := &to.Subscription
	d = mqtt.Delivery{QoS: min(m.QoS, sub.QoS), Retain: d.Retain && sub.RetainAsPublished, Group: sub.Filter}
	if sub.ID != 0 {
		d.IDs = []uint32{sub.ID}
	}
	return d
}

// pick chooses among the members that are online, or, when none is, among all: those left keep the
// message for later.
func (g *group) pick(m *mqtt.Message) (all, some []Member, first int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.members) == 0 {
		return nil, nil, 0 // the last one left after the match was made
	}
	some = online(g.members)
	return g.members, some, g.balance.Pick(m, some)
}

// online returns the members that are online; all when none or every one is.
func online(members []Member) []Member {
	away := func(m Member) bool { return !m.Subscriber.Online() }
	if !slices.ContainsFunc(members, away) {
		return members
	}
	if on := slices.DeleteFunc(slices.Clone(members), away); len(on) > 0 {
		return on
	}
	return members
}

// ClientID implements mqtt.Subscriber: a group has none.
func (g *group) ClientID() string { return "" }

// Scope implements mqtt.Subscriber.
func (g *group) Scope() mqtt.Scope { return mqtt.ScopeClient }

// Online implements mqtt.Subscriber.
func (g *group) Online() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.ContainsFunc(g.members, func(m Member) bool { return m.Subscriber.Online() })
}
