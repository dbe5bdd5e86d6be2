package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/seen"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/internal/notice"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// Bridge is a node's links to other nodes. It implements mqtt.Links. Safe for concurrent use.
type Bridge struct {
	cfg        Config
	metrics    bridgeMetrics
	seen       *seen.Filter
	announcer  *interest.Announcer
	compressor *frame.Compressor
	parts      atomic.Int64 // bytes of frames that have come in part
	handing    sync.Mutex   // while copies of a queue are handed on
	tap        *retainedTap
	presence   *presence
	holders    holders
	snapshots  snapshots
	settling   settling
	circuits   circuits
	spreading  spreading   // of a core
	leaves     atomic.Bool // Leave was called
	started    time.Time
	own        ownLives // this node's; never changed
	unwatch    func()   // ends the announcer's interest in the Router

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine; counted by begin
	cores   atomic.Pointer[coreList]
	uplink  *uplink // of an edge

	mu         sync.Mutex
	closed     bool
	neighbours map[string]*neighbour
	links      map[*link]struct{}
	dialers    map[string]*peerDialer
	members    membership // of a core

	refusals notice.Book // of links that others dialled
	crowded  atomic.Bool // MaxNeighbours are known, and somebody was told
	untaken  notice.Book // topics of messages that a plain broker does not take
}

// errClosing is why links end when the node stops.
var errClosing = errors.New("node is shutting down")

// New makes the links of a node: it loads what is known of its neighbours and registers them in the Router. Nothing is
// dialled before SetPeers or SetCores; call these when sessions and retained messages are loaded, since interest
// that is not there then is withdrawn.
func New(cfg Config) (*Bridge, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	c, err := frame.NewCompressor(cfg.MaxFrameBytes, cfg.MaxPartBytes)
	if err != nil {
		return nil, fmt.Errorf("make bridge: %w", err)
	}
	b := &Bridge{
		cfg: cfg, metrics: newMetrics(cfg.Metrics), compressor: c, own: newOwnLives(cfg.Store.ID(), cfg.Store.Lives()),
		announcer:  interest.NewAnnouncer(cfg.InterestLinger, cfg.MaxInterest/2, cfg.Now),
		neighbours: map[string]*neighbour{}, links: map[*link]struct{}{}, dialers: map[string]*peerDialer{}, members: newMembership(),
		circuits: newCircuits(),
	}
	b.seen = seen.New(seen.Config{Window: cfg.Window, MaxBytes: cfg.SeenBytes, Beyond: b.metrics.beyondWindow.Inc, Evicted: b.metrics.seenEvicted.Inc})
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.tap = &retainedTap{b}
	b.presence = newPresence(b)
	b.started = cfg.Now()
	b.cores.Store(new(coreList))
	if err := b.load(); err != nil {
		b.cancel()
		return nil, errors.Join(fmt.Errorf("make bridge: %w", err), c.Close())
	}
	b.register()
	return b, nil
}

// load reads the neighbours and what was seen.
func (b *Bridge) load() error {
	if err := b.seen.Load(b.cfg.Store); err != nil {
		return err
	}
	var bad error
	records, now := map[string]record{}, b.cfg.Now()
	err := b.cfg.Store.Scan(batch.Neighbours, nil, nil, func(k, v []byte) bool {
		records[string(k)], bad = decodeRecord(string(k), v, b.cfg.Store, now)
		return bad == nil
	})
	if err = errors.Join(err, bad); err != nil {
		return fmt.Errorf("load neighbours: %w", err)
	}
	for name, rec := range records {
		rec.spare(now, b.cfg.NeighbourExpiry, b.cfg.MovedLinger)
		if rec.scope == mqtt.ScopePeer && !strings.HasPrefix(name, pastPrefix) && len(rec.cores) == 1 {
			b.members.lost[name] = Peer{Name: name, Addr: rec.cores[0].Addr, Weight: rec.cores[0].Weight}
		}
		n := b.loadNeighbour(name, rec)
		n.down = n.since
		b.neighbours[name] = n
		if err := n.queue.Load(); err != nil {
			return err
		}
	}
	return nil
}

// loadNeighbour makes one of what is kept under key.
func (b *Bridge) loadNeighbour(key string, rec record) *neighbour {
	if !strings.HasPrefix(key, pastPrefix) {
		return b.newNeighbour(key, rec)
	}
	n := b.newNeighbour(rec.movedTo, rec)
	n.key = key
	n.past.Store(&past{n: n, wake: bell.New(), done: make(chan struct{})})
	return n
}

// register starts what runs as long as the Bridge, and tells the Router of the neighbours.
func (b *Bridge) register() {
	scopes := mqtt.ScopeClient
	if b.cfg.Role == RoleCore {
		scopes |= mqtt.ScopeEdge
		b.cfg.Router.Subscribe(b.tap, mqtt.Subscription{Filter: "#", QoS: 2, RetainAsPublished: true})
	} else {
		b.uplink = newUplink(b)
	}
	for _, n := range b.neighbours {
		if err := n.loadWants(); err != nil {
			b.cfg.Log.Error("interest is asked for anew", "error", err)
		}
		b.presence.remember(n)
		if !n.snapshot().moved.IsZero() && n.scope == mqtt.ScopeEdge {
			n.startMoving()
		}
	}
	for _, n := range b.neighbours { // when it is known where edges are
		if n.past.Load() != nil {
			n.startPast()
		}
		n.startAbsence()
	}
	b.unwatch = b.cfg.Router.Interest(scopes, b.announcer.Changed)
	b.begin()
	go func() { // owned by the Bridge, ends with ctx, Close waits by running
		defer b.running.Done()
		b.announcer.Run(b.ctx, b.tellShortened)
	}()
	if b.cfg.Role == RoleCore {
		b.begin()
		go b.spread() // owned by the Bridge, ends with ctx, Close waits by running
	}
	b.begin()
	go b.age() // owned by the Bridge, ends with ctx, Close waits by running
	if b.cfg.Retained != nil {
		b.begin()
		go b.heal() // owned by the Bridge, ends with ctx, Close waits by running
	}
	b.gauges()
}

func (b *Bridge) gauges() {
	b.cfg.Metrics.Gauge("mangrove_link_backlog_messages", func() float64 { m, _ := b.backlog(); return float64(m) })
	b.cfg.Metrics.Gauge("mangrove_link_backlog_bytes", func() float64 { _, n := b.backlog(); return float64(n) })
	b.cfg.Metrics.Gauge("mangrove_link_queues_full", func() float64 { return float64(b.CountFull()) })
	b.cfg.Metrics.Gauge("mangrove_link_seen_origins", func() float64 { n, _ := b.seen.Size(); return float64(n) })
	b.cfg.Metrics.Gauge("mangrove_link_seen_bytes", func() float64 { _, n := b.seen.Size(); return float64(n) })
	b.cfg.Metrics.Gauge("mangrove_link_neighbours", func() float64 { return float64(b.countNeighbours()) })
	b.cfg.Metrics.Gauge("mangrove_link_edges", func() float64 {
		if b.cfg.Role == RoleEdge {
			return 0
		}
		return float64(b.ownLoad().Edges)
	})
	b.cfg.Metrics.Gauge("mangrove_link_settling", func() float64 {
		if b.isSettling() {
			return 1
		}
		return 0
	})
	b.cfg.Metrics.Gauge("mangrove_link_interest_filters", func() float64 { return float64(b.announcer.Size().Filters) })
	b.cfg.Metrics.Gauge("mangrove_link_interest_prefixes", func() float64 { return float64(b.announcer.Size().Prefixes) })
	b.cfg.Metrics.Gauge("mangrove_links_detoured", func() float64 { return float64(b.circuits.ending()) })
	b.cfg.Metrics.Gauge("mangrove_links_without_gossip", func() float64 {
		lost := 0
		for _, n := range b.all() {
			if n.Online() && n.status().Unheard {
				lost++
			}
		}
		return float64(lost)
	})
	if b.cfg.Role == RoleCore {
		b.cfg.Metrics.Gauge("mangrove_edges_known", func() float64 { known, _, _ := b.Edges(0); return float64(known) })
		b.cfg.Metrics.Gauge("mangrove_edges_connected", func() float64 { _, connected, _ := b.Edges(0); return float64(connected) })
	}
	b.cfg.Metrics.Gauge("mangrove_links_up", func() float64 {
		up := 0
		for _, n := range b.all() {
			if n.Online() {
				up++
			}
		}
		return float64(up)
	})
}

// tellShortened tells the operator that others are asked for more than is wanted, or no longer.
func (b *Bridge) tellShortened(s interest.Size) {
	if s.Prefixes == 0 {
		b.cfg.Log.Info("other nodes are asked for what is wanted again, and no more", "filters", s.Filters)
		return
	}
	b.cfg.Log.Warn("too many filters are wanted here: other nodes are asked for prefixes in place of many, so more comes than is wanted",
		"filters", s.Filters, "announced", s.Announced, "prefixes", s.Prefixes, "widest", s.Widest, "most", b.cfg.MaxInterest/2)
}

func (b *Bridge) backlog() (messages, bytes int) {
	for _, n := range b.all() {
		m, size := n.queue.Backlog()
		messages += m
		bytes += size
	}
	return messages, bytes
}

// begin counts a goroutine that is about to start; false when the Bridge is closed.
func (b *Bridge) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Add(1)
	return true
}

// Accept implements mqtt.Links.
func (b *Bridge) Accept(c *mqtt.Client, versions string, out mqtt.Carrier) (mqtt.LinkEnd, error) {
	if !speaks(versions) {
		return nil, &packet.Error{Reason: packet.UnsupportedProtocolVersion, Detail: fmt.Sprintf("link versions %q, known is %s", versions, Versions)}
	}
	if b.cfg.Role == RoleEdge {
		return nil, &packet.Error{Reason: packet.UseAnotherServer, Detail: "an edge takes no links"}
	}
	addr := ""
	if c.Addr != nil {
		addr = c.Addr.String()
	}
	l := b.newLink(c.ID, addr, false)
	if !b.admit(l) {
		return nil, &packet.Error{Reason: packet.ServerShuttingDown, Detail: errClosing.Error()}
	}
	l.start(out)
	return l, nil
}

// Versions is the range of link protocols this node speaks: the value of mqtt.LinkProperty.
const Versions = "1-1"

// speaks tells whether 1 lies in a range such as "1-3".
func speaks(versions string) bool {
	low, high, _ := strings.Cut(versions, "-")
	from, err1 := strconv.Atoi(low)
	to, err2 := strconv.Atoi(high)
	return err1 == nil && err2 == nil && from <= 1 && to >= 1
}

// admit counts a link in; false when the Bridge is closed.
func (b *Bridge) admit(l *link) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.running.Add(1)
	b.links[l] = struct{}{}
	return true
}

func (b *Bridge) dismiss(l *link) {
	b.mu.Lock()
	delete(b.links, l)
	b.mu.Unlock()
}

// meet finds the neighbour of a name or makes one; nil when the name belongs to a node of another kind.
func (b *Bridge) meet(name string, scope mqtt.Scope) (*neighbour, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosing
	}
	if n := b.neighbours[name]; n != nil {
		if n.scope != scope || n.queue.IsClosed() {
			return nil, nil
		}
		return n, nil
	}
	rec := record{num: b.cfg.Store.NextID(), scope: scope, lastSeen: b.cfg.Now()}
	n := b.newNeighbour(name, rec)
	b.neighbours[name] = n
	writes := new(batch.Batch)
	n.update(writes, func(*record) {})
	b.cfg.Store.Commit(writes)
	return n, nil
}

func (b *Bridge) lookup(name string) *neighbour {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.neighbours[name]
}

// heldOf sums up the interest held of a neighbour that may not be known yet.
func (b *Bridge) heldOf(name string) frame.Digest {
	if n := b.lookup(name); n != nil {
		return n.held()
	}
	return frame.Digest{}
}

// all lists the neighbours by name.
func (b *Bridge) all() []*neighbour {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*neighbour, 0, len(b.neighbours))
	for _, n := range b.neighbours {
		all = append(all, n)
	}
	slices.SortFunc(all, func(x, y *neighbour) int { return strings.Compare(x.name, y.name) })
	return all
}

func (b *Bridge) withScope(scope mqtt.Scope) (found []*neighbour) {
	for _, n := range b.all() {
		if n.scope == scope && n.past.Load() == nil {
			found = append(found, n)
		}
	}
	return found
}

// Close says goodbye on all links, ends all goroutines and waits for them. When ctx ends first, connections are closed
// without waiting for goodbyes to leave. What is queued stays on disk. It may be called twice.
func (b *Bridge) Close(ctx context.Context) error {
	first := b.shut()
	if first {
		b.unwatch()
		b.cancel()
		b.stopSettling()
	}
	done := make(chan struct{})
	go func() { // ends when the last goroutine does; Close waits for it below
		b.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		b.cut()
		<-done
	}
	if first {
		return b.compressor.Close()
	}
	return nil
}

// shut makes every link leave; false when that was done before.
func (b *Bridge) shut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return false
	}
	b.closed = true
	for l := range b.links {
		l.fail(errClosing, b.farewell())
	}
	return true
}

// cut closes connections that are still there.
func (b *Bridge) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.links {
		l.mu.Lock()
		if l.carrier != nil {
			l.carrier.Close(packet.ServerShuttingDown)
		}
		l.mu.Unlock()
	}
}
