package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"mangrove/internal/bell"
)

// Pool is this node's membership. Safe for concurrent use.
type Pool struct {
	cfg    Config
	timing timing
	key    string // our memberlist name
	self   announcement
	meta   atomic.Pointer[[]byte] // self, encoded
	list   *memberlist.Memberlist
	addr   string
	count  counters

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup // loop and seek
	changed bell.Bell      // the roster is another: loop reports
	hurry   bell.Bell      // seek looks at once

	closing  sync.Once
	closeErr error

	mu     sync.Mutex
	roster *roster
}

// Start listens, and begins to look for the others in the background: seeds that are not up yet
// are no error. OnChange gets all members but this node, sorted by name, after each change; calls are
// serialised and come from one goroutine. It owns the slice. It may block, but must not call Close.
func Start(cfg Config) (*Pool, error) {
	p, err := newPool(cfg)
	if err != nil {
		return nil, fmt.Errorf("start gossip: %w", err)
	}
	if err := p.listen(); err != nil {
		p.cancel()
		return nil, fmt.Errorf("start gossip on %s: %w", cfg.Bind, err)
	}
	p.watch(cfg.Metrics)
	p.wg.Add(2)
	go p.loop() // ends with ctx; Close waits
	go p.seek() // ends with ctx; Close waits
	return p, nil
}

func newPool(cfg Config) (*Pool, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Join = slices.Clone(cfg.Join)
	p := &Pool{
		cfg:     cfg,
		timing:  cfg.Profile.timing(),
		key:     fmt.Sprintf("%s#%x.%x", cfg.Name, cfg.Meta.Store, rand.Uint64()),
		self:    announcement{Meta: cfg.Meta, name: cfg.Name, started: time.Now().UnixMilli()},
		count:   newCounters(cfg.Metrics),
		changed: bell.New(),
		hurry:   bell.New(),
		roster:  newRoster(cfg.Name, cfg.SuspectFor),
	}
	if err := p.encodeMeta(); err != nil {
		return nil, err
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// encodeMeta encodes self, which NodeMeta answers with.
func (p *Pool) encodeMeta() error {
	b, err := p.self.encode()
	if err != nil {
		return fmt.Errorf("encode meta: %w", err)
	}
	p.meta.Store(&b)
	return nil
}

func (p *Pool) listen() error {
	bind := netip.MustParseAddrPort(p.cfg.Bind) // check has parsed it
	c := p.cfg.Profile.config()
	c.Logger = newLogger(p.cfg.Log)
	t, err := newTransport(p.ctx, bind, c.Logger)
	if err != nil {
		return err
	}
	c.Transport = t
	c.Name = p.key
	c.BindAddr, c.BindPort = bind.Addr().String(), t.GetAutoBindPort()
	c.SecretKey = p.cfg.Key
	c.Events, c.Delegate, c.Alive = events{p}, events{p}, events{p}
	c.AdvertiseAddr, c.AdvertisePort, err = advertised(p.ctx, p.cfg.Advertise, c.BindPort)
	if p.cfg.tune != nil {
		p.cfg.tune(c)
	}
	if err == nil {
		p.list, err = memberlist.Create(c)
	}
	if err != nil {
		return errors.Join(err, t.Shutdown())
	}
	p.addr = p.list.LocalNode().Address()
	return nil
}

// Addr is the gossip address that others can join, as host:port.
func (p *Pool) Addr() string { return p.addr }

// Members are all members but this node, sorted by name. The caller owns the slice.
func (p *Pool) Members() []Member {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.roster.sweep(time.Now())
	return p.roster.members()
}

// loop reports changes of the roster, those by time included.
func (p *Pool) loop() {
	defer p.wg.Done()
	var last []Member
	warned := ""
	for {
		p.mu.Lock()
		next := p.roster.sweep(time.Now())
		now := p.roster.members()
		double, _ := p.roster.impostor(p.key)
		p.mu.Unlock()
		if double != warned && double != "" {
			p.cfg.Log.Warn("another node has this node's name, or this node was restarted a moment ago",
				"name", p.cfg.Name, "addr", double)
		}
		warned = double
		if !slices.Equal(last, now) {
			last = now
			p.report(now)
		}
		select {
		case <-p.ctx.Done():
			return
		case <-p.changed:
		case <-timer(next):
		}
	}
}

func (p *Pool) report(members []Member) {
	p.count.changes.Inc()
	p.cfg.Log.Info("members changed", "members", names(members))
	if p.cfg.OnChange != nil {
		p.cfg.OnChange(slices.Clone(members))
	}
}

func names(members []Member) []string {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.Name
		if m.State == Suspect {
			list[i] += " (suspect)"
		}
	}
	return list
}

// timer fires at t; never when t is zero.
func timer(t time.Time) <-chan time.Time {
	if t.IsZero() {
		return nil
	}
	return time.After(time.Until(t))
}

// Close says goodbye to the others, within a bounded time, and stops. It may be called several
// times; all calls wait for the end. It must not be called from OnChange.
func (p *Pool) Close() error {
	p.closing.Do(func() {
		p.closeErr = errors.Join(p.leave(), p.stop())
	})
	return p.closeErr
}

// leave announces the departure first: memberlist's own leave message looks like a death to those who
// receive it.
func (p *Pool) leave() error {
	p.self.leaving = true
	if err := p.encodeMeta(); err != nil {
		return err
	}
	if err := p.list.UpdateNode(p.timing.leave); err != nil {
		return fmt.Errorf("announce departure: %w", err)
	}
	if err := p.list.Leave(p.timing.leave); err != nil {
		return fmt.Errorf("leave gossip: %w", err)
	}
	return nil
}

// stop ends everything without goodbye.
func (p *Pool) stop() error {
	p.cancel()
	err := p.list.Shutdown()
	p.wg.Wait()
	return err
}
