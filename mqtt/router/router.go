package router

import (
	"log/slog"
	"sync"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// Config of a Router. Life and NextID are required; other zero values work.
type Config struct {
	Life     uint64        // names this start of the node in Message.Origin: see store.Store.Life
	NextID   func() uint64 // gives message numbers that rise and are never given twice
	Retained mqtt.Retained // nil = nothing is retained

	Durability Durability // how stable a publish is to be, by topic

	Balance func() Balance // picks the members of shared subscriptions; nil = round-robin. See NewBalance.

	Now     func() time.Time // nil = time.Now
	Log     *slog.Logger
	Metrics *metrics.Registry
}

// Router is where messages and subscriptions meet; it implements mqtt.Router. Publishing takes no
// lock; subscribing takes one. Safe for concurrent use.
type Router struct {
	cfg       Config
	tree      tree
	published *metrics.Counter
	anonymous anonymousCache

	// retaining is held for reading by who publishes a retained message, from its match to its last Deliver, and for writing by who
	// registers a subscription: each such message is either before it, and told by Retained alone, or after it. Taken after mu.
	retaining sync.RWMutex

	mu       sync.Mutex // changes of tree, groups and interest, so that watchers see them in order
	groups   map[groupKey]*group
	interest interest
}

// tree is who has which filter.
type tree = topic.Tree[mqtt.Subscriber, terms]

// terms are what the tree keeps of a subscription besides its filter, which it has.
type terms struct {
	id           uint32
	qos          byte
	noLocal, rap bool
}

func termsOf(sub mqtt.Subscription) terms {
	return terms{id: sub.ID, qos: sub.QoS, noLocal: sub.NoLocal, rap: sub.RetainAsPublished}
}

const linkScopes = mqtt.ScopeEdge | mqtt.ScopePeer | mqtt.ScopeUplink

// New returns a Router without subscriptions.
func New(cfg Config) *Router {
	if cfg.NextID == nil {
		panic("BUG: router.Config.NextID is required")
	}
	if cfg.Balance == nil {
		cfg.Balance = newRoundRobin
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{
		cfg:       cfg,
		published: cfg.Metrics.Counter("mangrove_messages_routed_total"),
		groups:    map[groupKey]*group{},
	}
	r.interest.tree = &r.tree
	cfg.Metrics.Gauge("mangrove_subscriptions", func() float64 { return float64(r.Subscriptions()) })
	return r
}

// Subscriptions is the number of filters held; a shared group counts once.
func (r *Router) Subscriptions() int { return r.tree.Len() }

// SharedGroups is the number of shared subscriptions held.
func (r *Router) SharedGroups() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.groups)
}

// Publish implements mqtt.Router.
func (r *Router) Publish(m *mqtt.Message, rc *mqtt.Receipt) {
	if m.Retain {
		r.retaining.RLock()
		defer r.retaining.RUnlock()
	}
	if m.Publisher != "" { // No Local may hold for it
		r.publish(m, rc, r.match(m.Topic, m.Publisher), r.cfg.Durability.of(m.Topic))
		return
	}
	to := r.anonymous.get(r, m.Topic)
	r.publish(m, rc, to.targets, to.Slack)
}

// PublishTo is Publish for a publisher that has found m's topic in its Cache: nothing is matched and nothing
// is allocated.
func (r *Router) PublishTo(to *Topic, m *mqtt.Message, rc *mqtt.Receipt) {
	if m.Retain {
		r.retaining.RLock()
		defer r.retaining.RUnlock()
		to.refresh(r, m.Publisher) // who has subscribed since Get counts on it
	}
	r.publish(m, rc, to.targets, to.Slack)
}

// Deliver hands m to everybody who has subscribed to its topic, as Publish does, and keeps nothing as retained. Stamp
// must have been called.
func (r *Router) Deliver(m *mqtt.Message, rc *mqtt.Receipt) {
	r.deliver(m, rc, r.match(m.Topic, m.Publisher))
}

// publish is Publish with what is known of the topic at hand. A message without RETAIN leaves retained messages alone.
// [MQTT-3.3.1-8] [MQTT311-3.3.1-12]
func (r *Router) publish(m *mqtt.Message, rc *mqtt.Receipt, targets []target, slack batch.Slack) {
	rc.SetSlack(slack)
	r.Stamp(m)
	if m.Retain && r.cfg.Retained != nil && topic.Retained(m.Topic) {
		if r.cfg.Retained.Set(m, rc); !m.Retain && (m.Replay || m.Healed) {
			return // newer is held, and nobody is to be told of the older
		}
	}
	r.deliver(m, rc, targets)
}

// Stamp gives m its ID, and its Origin and From unless it has them.
func (r *Router) Stamp(m *mqtt.Message) {
	if m.From.Scope == 0 {
		m.From.Scope = mqtt.ScopeClient
	}
	m.ID = r.cfg.NextID()
	if m.Origin.Life == 0 {
		m.Origin = mqtt.Origin{Life: r.cfg.Life, Seq: m.ID}
	}
}

// deliver hands m to each of targets, connected or not. [MQTT-4.5.0-1] [MQTT311-4.5.0-1]
func (r *Router) deliver(m *mqtt.Message, rc *mqtt.Receipt, targets []target) {
	r.published.Inc()
	local := m.From.Scope == mqtt.ScopeClient
	for i := range targets {
		t := &targets[i]
		if local || !t.loops(m) {
			t.to.Deliver(m, t.delivery(m), rc)
		}
	}
}

// Subscribe implements mqtt.Router.
func (r *Router) Subscribe(s mqtt.Subscriber, sub mqtt.Subscription) mqtt.Subscribed {
	name, filter := topic.Split(sub.Filter)
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.interest.of(filter)
	old, done := r.registerLocked(name, filter, s, sub)
	r.interest.change(filter, before, s.Scope(), done.Existed, old.qos, sub.QoS)
	return done
}

// registerLocked makes the subscription count, while no retained message is under way.
func (r *Router) registerLocked(group, filter string, s mqtt.Subscriber, sub mqtt.Subscription) (old terms, done mqtt.Subscribed) {
	r.retaining.Lock()
	defer r.retaining.Unlock()
	if group != "" {
		old, done.Existed = r.joinLocked(groupKey{group, filter}, s, sub)
	} else {
		old, done.Existed = r.tree.Set(filter, s, termsOf(sub))
	}
	done.Since = r.cfg.NextID()
	return old, done
}

// Unsubscribe implements mqtt.Router.
func (r *Router) Unsubscribe(s mqtt.Subscriber, full string) (existed bool) {
	name, filter := topic.Split(full)
	r.mu.Lock()
	defer r.mu.Unlock()
	var old terms
	if name != "" {
		old, existed = r.leaveLocked(groupKey{name, filter}, s)
	} else {
		old, existed = r.tree.Delete(filter, s)
	}
	if existed {
		r.interest.remove(filter, s.Scope(), old.qos)
	}
	return existed
}

// HandOver implements mqtt.Router.
func (r *Router) HandOver(full string, m *mqtt.Message, rc *mqtt.Receipt) {
	name, filter := topic.Split(full)
	r.mu.Lock()
	g := r.groups[groupKey{name, filter}]
	r.mu.Unlock()
	if g != nil {
		g.Deliver(m, mqtt.Delivery{Retain: m.Retain}, rc)
	}
}

// Interest implements mqtt.Router.
func (r *Router) Interest(scopes mqtt.Scope, fn func(filter string, qos byte, wanted bool)) (stop func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.interest.watch(scopes, fn)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.interest.unwatch(w)
	}
}
