package bench

import (
	"errors"
	"fmt"
)

// runDurable measures acknowledged publishes to sessions that are away, then that all of it is there.
func (f *flow) runDurable(r *Result) error {
	if err := f.makeBacklog(f.cfg.Count, func() error {
		return errors.Join(f.steady(r, func() uint64 { return f.confirmed }), f.settle())
	}); err != nil {
		return err
	}
	var drain Result
	if err := f.drain(&drain); err != nil {
		return err
	}
	r.DrainRate = drain.Rate
	f.verdict(r)
	return f.forget()
}

// runOffline measures how fast a backlog drains.
func (f *flow) runOffline(r *Result) error {
	store := new(Result)
	if f.cfg.Keep {
		store = r // and nothing comes after it
	}
	if err := f.makeBacklog(f.cfg.Publishers, func() error {
		f.show.phase = "storing"
		f.start()
		return f.measure(store, func() uint64 { return f.confirmed }, f.settle)
	}); err != nil {
		return err
	}
	if f.cfg.Keep {
		r.Unacknowledged = f.unacknowledged()
		return nil
	}
	if err := f.drain(r); err != nil {
		return err
	}
	r.StoreRate, r.StoreWritten, r.AckLatency = store.Rate, store.Written, store.AckLatency
	f.verdict(r)
	return f.forget()
}

// makeBacklog leaves sessions behind and publishes to them.
func (f *flow) makeBacklog(publishers int, publish func() error) error {
	f.show.phase = "connecting"
	filter := f.topic("kept/+")
	for i := range f.cfg.Sessions {
		s := newSubscriber(f, fmt.Sprintf("s%d", i), filter)
		s.whole(0, publishers)
		f.subs = append(f.subs, s)
	}
	for i := range publishers {
		f.pubs = append(f.pubs, newPublisher(f, uint32(i), f.topic(fmt.Sprintf("kept/%d", i)), f.cfg.QoS, false))
	}
	f.aim = func(*publisher, uint64) int32 { return 0 }
	if err := errors.Join(f.connect(false, f.subConns()...), f.subscribeAll(), f.connect(true, f.pubConns()...)); err != nil {
		return err
	}
	for _, c := range f.subConns() {
		c.leave()
	}
	if err := publish(); err != nil {
		return err
	}
	for _, p := range f.pubs {
		if p.c.state == open && p.idle() {
			p.c.leave()
		}
	}
	return nil
}

// drain brings the sessions back and measures until they have everything.
func (f *flow) drain(r *Result) error {
	f.owed = f.published * uint64(f.cfg.Sessions)
	err := f.measure(r, func() uint64 { return f.delivered }, func() error {
		if err := f.connect(false, f.subConns()...); err != nil {
			return err
		}
		return f.settle()
	})
	r.Latency = nil // how long the backlog waited says nothing about the broker
	return err
}

// forget removes the sessions from the broker.
func (f *flow) forget() error {
	for _, s := range f.subs {
		if !s.c.present {
			return fmt.Errorf("client %s: the broker had forgotten the session", s.c.id)
		}
	}
	f.show.phase = "cleaning up"
	f.leave()
	if err := f.connect(true, f.subConns()...); err != nil {
		return err
	}
	f.leave()
	return nil
}
