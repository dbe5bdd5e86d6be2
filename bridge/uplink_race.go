package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"mangrove/bridge/frame"
)

// How an edge finds out which of its addresses leads to a core: they race (race.go), in the order of candidates.
//
// Behind NAT or a balancer the addresses that cores tell may lead nowhere, and the seeds are the ones that work. What did not answer in its turn is
// tried behind what did, for silentFor.

// silentFor is how long an address that did not answer is tried behind the others.
const silentFor = time.Hour

// attempt races the candidates, and stays with the first core or broker that answers until the link is over. rounds is how often all
// have failed. tried are those that are not to be tried again in this round.
func (u *uplink) attempt(ctx context.Context, order []frame.Core, rounds int) (o outcome, tried []frame.Core) {
	r := race(ctx, racers[reached]{
		n: len(order), stagger: u.stagger(rounds), again: u.b.jitter, drop: reached.drop,
		try: func(ctx context.Context, i int) (reached, error) {
			u.n.setDialling(order[i].Addr)
			return u.reach(ctx, order[i])
		},
	})
	u.remember(order, &r)
	for i, err := range r.errs {
		if err != nil {
			tried = append(tried, order[i])
			u.forget(order[i].Addr)
		}
	}
	if r.at < 0 {
		return outcome{err: joined(r.errs)}, tried
	}
	u.took = r.took
	first := order[r.at]
	u.n.setDialling(first.Addr)
	if o = u.follow(u.stay(ctx, r.won)); o.up == 0 {
		u.forget(first.Addr)
	}
	return o, append(tried, first)
}

// stagger is how long one may take before the next begins. A line whose handshakes take long is not to carry several.
func (u *uplink) stagger(rounds int) time.Duration {
	if rounds%patientIn == patientIn-1 {
		return u.b.cfg.Handshake
	}
	return min(max(minStagger, 2*u.took), u.b.cfg.Handshake)
}

// reached is who answered: a node that takes links, or a plain broker.
type reached struct {
	link   dialled
	broker *remoteLink // nil = link
}

func (r reached) drop() {
	if r.broker != nil {
		r.broker.drop()
		return
	}
	r.link.drop()
}

// reach dials one address in the protocol that is configured, or that it turns out to speak. It is asked anew each
// time: who answers there may change. What cores tell of are cores: a broker there is somebody else's.
func (u *uplink) reach(ctx context.Context, c frame.Core) (r reached, err error) {
	if u.b.cfg.Protocol != ProtocolMQTT {
		r.link, err = u.b.reach(ctx, c.Name, c.Addr)
		if !errors.Is(err, errNotLink) || u.b.cfg.Protocol == ProtocolMangrove || c.Name != "" {
			return r, err
		}
		u.notePlain(c.Addr)
	}
	r.broker, err = u.b.reachRemote(ctx, u.n, c.Addr)
	return r, err
}

func (u *uplink) notePlain(addr string) {
	u.mu.Lock()
	known := u.plain[addr]
	if len(u.plain) < frame.MaxCores { // beyond it each time is told
		u.plain[addr] = true
	}
	u.mu.Unlock()
	if !known {
		u.b.cfg.Log.Info("not a Mangrove node: speaking plain MQTT 5", "addr", addr)
	}
}

func (u *uplink) stay(ctx context.Context, r reached) outcome {
	if r.broker != nil {
		return r.broker.stay(ctx)
	}
	return r.link.stay(u.attach)
}

// remember notes who did not answer in its turn. What is noted of addresses that are no candidates any more goes.
func (u *uplink) remember(order []frame.Core, r *raced[reached]) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for addr, since := range u.silent {
		if u.b.cfg.Now().Sub(since) > silentFor {
			delete(u.silent, addr)
		}
	}
	for i, c := range order {
		switch {
		case i == r.at:
			delete(u.silent, c.Addr)
		case r.slow[i] && r.at >= 0 && len(u.silent) < frame.MaxCores: // when nobody answers it may be the line
			u.silent[c.Addr] = u.b.cfg.Now()
		}
	}
}

// arrangeLocked orders candidates: those that were told first, seeds behind them, and those that were silent behind all. Two seeds
// are among the first maxRacing, which need not wait for others to fail.
func (u *uplink) arrangeLocked(named, seeds []frame.Core) []frame.Core {
	before := min(len(named), max(maxRacing-2, maxRacing-len(seeds)))
	order := slices.Concat(named[:before], seeds[:min(2, len(seeds))], named[before:], seeds[min(2, len(seeds)):])
	slices.SortStableFunc(order, func(x, y frame.Core) int { return u.silenceLocked(x) - u.silenceLocked(y) })
	return order
}

// silenceLocked is 1 for an address that was silent a while ago, else 0.
func (u *uplink) silenceLocked(c frame.Core) int {
	if since, is := u.silent[c.Addr]; is && u.b.cfg.Now().Sub(since) <= silentFor {
		return 1
	}
	return 0
}

// joined is why all have failed.
func joined(errs []error) error {
	errs = slices.DeleteFunc(slices.Clone(errs), func(err error) bool { return err == nil })
	switch len(errs) {
	case 0:
		return context.Canceled // nobody began: ctx has ended
	case 1:
		return errs[0]
	}
	texts := make([]string, 0, len(errs))
	for _, err := range errs {
		texts = append(texts, reasonText(err))
	}
	slices.Sort(texts)
	return fmt.Errorf("none of %d addresses answers: %s", len(errs), strings.Join(slices.Compact(texts), "; "))
}
