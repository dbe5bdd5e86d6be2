package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
)

// Run measures one scenario. It uses the caller's goroutine and returns when the run is over, when ctx ends, or at
// the first fault; the result is nil only then. What was lost is in the result, not in the error.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	if err := cfg.Check(); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	f, err := newFlow(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	defer f.l.close()
	r := &Result{Scenario: cfg.Scenario, Broker: cfg.Broker, Version: versionName(cfg.Version), QoS: cfg.QoS,
		Payload: cfg.Payload, Count: cfg.Count, Window: cfg.Window, Target: cfg.Rate}
	if err := f.scenario()(r); err != nil {
		return nil, fmt.Errorf("bench: %s: %w", f.show.phase, err)
	}
	return r, nil
}

func (f *flow) scenario() func(*Result) error {
	switch f.cfg.Scenario {
	case "p2p":
		return f.online(f.setUpPairs)
	case "fanout":
		return f.online(f.setUpFanOut)
	case "fanin":
		return f.online(f.setUpFanIn)
	case "wild":
		return f.online(f.setUpWild)
	case "match":
		return f.online(f.setUpMatch)
	case "churn":
		return f.runChurn
	case "conns":
		return f.runConns
	case "sleep":
		return f.runSleep
	case "storm":
		return f.runStorm
	case "wills":
		return f.runWills
	case "retained":
		return f.runRetained
	case "offline":
		return f.runOffline
	case "durable":
		return f.runDurable
	}
	panic("BUG: scenario without code: " + f.cfg.Scenario)
}

// online is the life of a run whose subscribers are there all the time.
func (f *flow) online(setUp func()) func(*Result) error {
	return func(r *Result) error {
		setUp()
		f.show.phase = "connecting"
		if err := errors.Join(f.connect(true, f.subConns()...), f.subscribeAll(), f.addDeaf(), f.connect(true, f.pubConns()...)); err != nil {
			return err
		}
		if err := f.steady(r, func() uint64 { return f.delivered }); err != nil {
			return err
		}
		if err := f.settle(); err != nil {
			return err
		}
		f.verdict(r)
		f.leave()
		return nil
	}
}

// subscribeAll sends what setUp has noted.
func (f *flow) subscribeAll() error {
	for _, s := range f.subs {
		s.c.subscribe(f.cfg.QoS, s.filters...)
	}
	return f.subscribed(f.subConns()...)
}

func (f *flow) setUpPairs() {
	for i := range f.cfg.Count {
		topic := f.topic(fmt.Sprintf("pair/%d", i))
		s := newSubscriber(f, fmt.Sprintf("s%d", i), topic)
		s.whole(uint32(i), 1)
		f.subs = append(f.subs, s)
		f.pubs = append(f.pubs, newPublisher(f, uint32(i), topic, f.cfg.QoS, false))
	}
}

func (f *flow) setUpFanOut() {
	topic := f.topic("all")
	for i := range f.cfg.Count {
		s := newSubscriber(f, fmt.Sprintf("s%d", i), topic)
		s.whole(0, 1)
		f.subs = append(f.subs, s)
	}
	f.pubs = append(f.pubs, newPublisher(f, 0, topic, f.cfg.QoS, false))
	f.aim = func(*publisher, uint64) int32 { return int32(f.cfg.Count) }
}

func (f *flow) setUpFanIn() {
	s := newSubscriber(f, "s", f.topic("from/+"))
	s.whole(0, f.cfg.Count)
	f.subs = append(f.subs, s)
	for i := range f.cfg.Count {
		f.pubs = append(f.pubs, newPublisher(f, uint32(i), f.topic(fmt.Sprintf("from/%d", i)), f.cfg.QoS, false))
	}
}

func (f *flow) setUpWild() {
	t := newTree(f.cfg.Count, rand.New(rand.NewPCG(wildSeed, wildSeed)))
	word := fmt.Sprintf("bench-%08x/", f.run)
	for i := range wildClients {
		for j := range t.filters[i] {
			t.filters[i][j] = word + t.filters[i][j]
		}
		s := newSubscriber(f, fmt.Sprintf("s%d", i), t.filters[i]...)
		s.sparse = make([]sparse, f.cfg.Publishers)
		f.subs = append(f.subs, s)
	}
	for i := range f.cfg.Publishers {
		f.pubs = append(f.pubs, newPublisher(f, uint32(i), word+wildNumbers, f.cfg.QoS, false))
	}
	f.aim = func(p *publisher, seq uint64) (takers int32) {
		t.draw(p.template[p.topicAt+len(word):], func(client int) {
			f.subs[client].sparse[p.stream].expect(seq)
			takers++
		})
		return takers
	}
}
