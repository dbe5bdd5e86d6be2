package bridge

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/internal/batch"
	"mangrove/internal/bell"
	"mangrove/mqtt"
)

// uplink keeps an edge linked to one of the cores: whichever it is, the queue is the same.
//
//	seeds (configuration) ┐
//	CORES frames, disk    ┴→ candidates ─ balance → order ─ attempt, attempt, … pause ─ again
type uplink struct {
	b       *Bridge
	n       *neighbour
	changed bell.Bell // there is something to dial, or something else
	stall   stall     // run only
	culprit culprit
	shunned shunned // run only

	follower  *interest.Follower // run of a link only: the link that was up when letGo looked last
	withdrawn uint64             // run of a link only: how many filters had been withdrawn by then
	look      atomic.Bool        // letGo is to look again

	mu      sync.Mutex
	next    chan outcome // of the link that takes the place of this one, as a core asked; nil = there is none
	balance balance
	seeds   []string
	learn   bool
	known   []frame.Core
	started bool
	plain   map[string]bool      // addresses that were found to be no Mangrove nodes
	silent  map[string]time.Time // addresses that did not answer in their turn, and since when
	took    time.Duration        // run only: what the latest handshake took that was first
}

// newUplink registers the cores as a neighbour. Nothing is dialled before SetCores.
func newUplink(b *Bridge) *uplink {
	n, err := b.meet(uplinkName, mqtt.ScopeUplink)
	if err != nil || n == nil {
		panic(fmt.Sprintf("BUG: no neighbour record for the uplink: %v", err))
	}
	if b.cfg.Store.Renewed() { // the attachments of before were another node's
		writes := new(batch.Batch)
		n.update(writes, func(r *record) { r.store, r.settled = 0, 0 })
		b.cfg.Store.Commit(writes)
	}
	for _, filter := range b.cfg.UplinkFilters {
		n.subscribe(n, filter, 2)
	}
	pick, err := newBalance(b.cfg.Balance, b.cfg.Node, b.cfg.Rand)
	if err != nil {
		panic(fmt.Sprintf("BUG: Config was checked: %v", err))
	}
	return &uplink{b: b, n: n, changed: bell.New(), known: n.snapshot().cores, balance: pick, plain: map[string]bool{}, silent: map[string]time.Time{}}
}

// SetCores tells an edge where to find cores: the addresses of its configuration, and with learn also those that
// cores tell of, as long as there is a list. It may be called again. Calls on a core or after Close do nothing.
func (b *Bridge) SetCores(seeds []string, learn bool) {
	u := b.uplink
	if u == nil {
		return
	}
	u.mu.Lock()
	u.seeds, u.learn = slices.Clone(seeds), learn
	start := !u.started
	u.started = true
	u.mu.Unlock()
	u.changed.Ring()
	if start && b.begin() {
		go u.run() // owned by the Bridge, ends with ctx, Close waits by running
	}
}

// learnCores takes the list that a core tells, and keeps it.
func (b *Bridge) learnCores(cores []frame.Core) {
	u := b.uplink
	u.mu.Lock()
	same := slices.Equal(u.known, cores)
	u.known = cores
	u.mu.Unlock()
	if same {
		return
	}
	writes := new(batch.Batch)
	u.n.update(writes, func(r *record) { r.cores = cores })
	b.cfg.Store.Commit(writes)
}

// candidates are the cores in the order they are to be tried.
func (u *uplink) candidates() []frame.Core {
	u.mu.Lock()
	defer u.mu.Unlock()
	var named, seeds []frame.Core
	if u.learn {
		named = u.known
	}
	for _, addr := range u.seeds {
		if !slices.ContainsFunc(named, func(c frame.Core) bool { return c.Addr == addr }) {
			seeds = append(seeds, frame.Core{Addr: addr})
		}
	}
	return u.placeFirst(u.arrangeLocked(inOrder(u.balance, named), inOrder(u.balance, seeds)))
}

func (u *uplink) run() {
	defer u.b.running.Done()
	ctx := u.b.ctx
	for failures := 0; ctx.Err() == nil; {
		order := u.candidates()
		if len(order) == 0 {
			select {
			case <-u.changed:
			case <-ctx.Done():
			}
			continue
		}
		failures = u.round(ctx, order, failures)
	}
}

// round tries cores until one was up for a while, or all have failed. One whose link did not last is asked once more before the
// others are.
func (u *uplink) round(ctx context.Context, order []frame.Core, failures int) int {
	for left := order; len(left) > 0; {
		first := failures == 0
		o, tried := u.attempt(ctx, left, failures/len(order))
		u.n.ended(o)
		failures += len(tried)
		lasted := u.b.lasted(o)
		if lasted {
			failures = 0
		}
		if !u.b.pause(ctx, failures/len(order), o.retry, nil) || lasted || o.up > 0 && first {
			return failures
		}
		left = slices.DeleteFunc(slices.Clone(left), func(c frame.Core) bool { return slices.Contains(tried, c) })
	}
	return failures
}

// attach counts an attachment, on disk before the core hears of it: the higher number is the later one.
func (u *uplink) attach() error {
	writes := new(batch.Batch)
	u.n.update(writes, func(r *record) { r.attach++ })
	if err := u.b.cfg.Store.CommitWait(writes); err != nil {
		return fmt.Errorf("keep attach number: %w", err)
	}
	return nil
}
