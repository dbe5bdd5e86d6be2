package gossip

import (
	"context"
	"math/rand/v2"
	"net"
	"time"
)

// seek joins the seeds, and the nodes that were lost, until the pool ends. It runs in its own goroutine,
// which Close waits for.
//
//	look: who is missing? ─none→ wait retryMax ─┐
//	  ▲        └─ join each ─all met→ wait retryMax ┤
//	  │                └─ some not → wait 0..bound, the bound doubling from retryMin to retryMax
//	  └──────────────────────────────────────────┘  (being alone ends a wait early)
func (p *Pool) seek() {
	defer p.wg.Done()
	bound := p.timing.retryMin
	for p.ctx.Err() == nil {
		wait := p.timing.retryMax
		if !p.joinMissing() {
			wait = rand.N(bound) // full jitter
			bound = min(2*bound, p.timing.retryMax)
		} else {
			bound = p.timing.retryMin
		}
		select {
		case <-p.ctx.Done():
		case <-p.hurry:
			bound = p.timing.retryMin
		case <-time.After(wait):
		}
	}
}

// joinMissing tries everybody who should be there and is not, and tells whether all were met.
func (p *Pool) joinMissing() (all bool) {
	p.mu.Lock()
	lost := p.roster.lostAddrs()
	p.mu.Unlock()
	all = true
	for _, addr := range lost {
		all = p.meet([]string{addr}) && all
	}
	for _, seed := range p.cfg.Join {
		addrs, err := p.resolve(seed)
		if err != nil {
			p.count.joinFailures.Inc()
			p.cfg.Log.Debug("seed has no address", "seed", seed, "err", err)
		}
		all = err == nil && p.meet(addrs) && all
	}
	return all
}

// meet joins one node that has these addresses, unless a live member or only this node itself
// has one of them.
func (p *Pool) meet(addrs []string) bool {
	met := true
	for _, addr := range addrs {
		switch {
		case p.ctx.Err() != nil:
			return false
		case addr == p.addr:
		case p.living(addr) || p.join(addr):
			return true
		default:
			met = false
		}
	}
	return met
}

func (p *Pool) living(addr string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.roster.living(addr)
}

func (p *Pool) join(addr string) bool {
	if _, err := p.list.Join([]string{addr}); err != nil {
		p.count.joinFailures.Inc()
		p.cfg.Log.Debug("join failed", "addr", addr, "err", err)
		return false
	}
	p.count.joins.Inc()
	p.cfg.Log.Debug("joined", "addr", addr)
	return true
}

// resolveTimeout bounds one look-up of a seed's name.
const resolveTimeout = 5 * time.Second

func (p *Pool) resolve(seed string) (addrs []string, err error) {
	host, port, err := net.SplitHostPort(seed)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(p.ctx, resolveTimeout)
	defer cancel()
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	for _, ip := range ips {
		addrs = append(addrs, net.JoinHostPort(ip, port))
	}
	return addrs, err
}
