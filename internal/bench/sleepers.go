package bench

import (
	"errors"
	"fmt"
)

// sleepersAtOnce is how many clients are connected at one time while sessions are made.
const sleepersAtOnce = 1000

// runSleep measures the memory of sessions whose clients are away, with one subscription each.
func (f *flow) runSleep(r *Result) error {
	before, err := f.broker()
	if err != nil {
		return err
	}
	var all []*subscriber
	made := uint64(0)
	err = f.measure(r, func() uint64 { return made }, func() (err error) {
		all, err = f.makeSleepers(&made)
		return err
	})
	if err := errors.Join(err, f.l.forNow(f.cfg.Rest)); err != nil {
		return err
	}
	after, err := f.broker()
	if err != nil {
		return err
	}
	r.ConnectsPerSecond = r.Rate
	r.IdleRSS, r.RSS, r.BytesPerSession = before.RSS, after.RSS, float64(after.RSS-before.RSS)/float64(len(all))
	if f.cfg.Keep {
		return nil
	}
	return f.wakeAll(all)
}

// runStorm measures how many clients come back to their sessions, all at once.
func (f *flow) runStorm(r *Result) error {
	made := uint64(0)
	all, err := f.makeSleepers(&made)
	if err != nil {
		return err
	}
	f.show.phase = "reconnecting"
	f.l.refused = func(*conn, error) { r.Refused++ }
	in := uint64(0)
	err = f.measure(r, func() uint64 { return in }, func() error { return f.rush(all, r, &in) })
	f.l.refused = nil
	if err != nil {
		return err
	}
	r.ConnectsPerSecond = r.Rate
	if err := f.l.forNow(ConnsRest); err != nil {
		return err
	}
	var back []*conn
	for _, s := range all {
		if s.c.state != open {
			continue
		}
		if !s.c.present {
			return fmt.Errorf("client %s: the broker had forgotten the session", s.c.id)
		}
		back = append(back, s.c)
	}
	if err := f.pingAll(back); err != nil {
		return err
	}
	return f.wakeAll(all)
}

// rush dials everybody without waiting for anybody, and then waits until all are in or refused.
func (f *flow) rush(all []*subscriber, r *Result, in *uint64) error {
	for _, s := range all {
		if err := f.l.open(f.to, s.c.local, f.greeting(s.c, false), s.c); err != nil {
			return err
		}
	}
	return f.within(setUpTime, "reconnect", func() (bool, error) {
		*in = 0
		for _, s := range all {
			if s.c.state == open {
				*in++
			}
		}
		return *in+r.Refused == uint64(len(all)), nil
	})
}

// makeSleepers makes Count sessions that are kept, with a subscription each, whose clients have left.
func (f *flow) makeSleepers(made *uint64) ([]*subscriber, error) {
	f.show.phase = "making sessions"
	all := make([]*subscriber, f.cfg.Count)
	for i := range all {
		all[i] = newSubscriber(f, fmt.Sprintf("s%d", i), f.topic(fmt.Sprintf("device/%d/+", i)))
		all[i].c.local = f.address(f.cfg.First + i)
	}
	for rest := all; len(rest) > 0; {
		some := rest[:min(len(rest), sleepersAtOnce)]
		rest = rest[len(some):]
		cs := conns(some, func(s *subscriber) *conn { return s.c })
		if err := f.connect(false, cs...); err != nil {
			return nil, err
		}
		for _, s := range some {
			s.c.subscribe(f.cfg.QoS, s.filters...)
		}
		if err := f.subscribed(cs...); err != nil {
			return nil, err
		}
		for _, c := range cs {
			c.leave()
		}
		*made += uint64(len(some))
	}
	return all, nil
}

// wakeAll has every session found by its client, and removed.
func (f *flow) wakeAll(all []*subscriber) error {
	f.show.phase = "cleaning up"
	f.leave()
	for rest := all; len(rest) > 0; {
		some := rest[:min(len(rest), sleepersAtOnce)]
		rest = rest[len(some):]
		cs := conns(some, func(s *subscriber) *conn { return s.c })
		if err := f.connect(true, cs...); err != nil {
			return err
		}
		for _, c := range cs {
			c.leave()
		}
	}
	return nil
}
