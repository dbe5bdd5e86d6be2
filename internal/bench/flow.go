package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"mangrove/mqtt/packet"
)

const (
	stallTime     = 2 * time.Second // without progress, after which a publisher's window opens anyway
	connectAtOnce = 64              // handshakes under way at one time, below any listen backlog
	setUpTime     = time.Minute     // of connecting and of subscribing, each
)

// flow is one run: its connections, and what is counted over all of them.
type flow struct {
	cfg  Config
	l    *loop
	to   netip.AddrPort
	run  uint32 // random; in topics, client ids and payloads
	pubs []*publisher
	subs []*subscriber

	// aim says how many deliveries message seq of p makes, and may change the topic in p.template.
	aim func(p *publisher, seq uint64) int32

	interval float64 // nanoseconds between messages of all publishers; 0 = closed loop
	epoch    int64   // when message 0 was due
	turn     uint64  // the next message of the open loop, counted over all publishers
	stopped  bool

	ready, spare []*publisher // to be pumped at the end of the turn
	ack          packet.Ack   // decoded into

	measuring  bool
	latency    Histogram // due → delivered
	acks       Histogram // sent → acknowledged
	published  uint64
	confirmed  uint64 // publishes acknowledged
	delivered  uint64 // each message once for each taker
	duplicated uint64
	reordered  uint64
	owed       uint64 // deliveries that publishes so far make

	show progress
}

func newFlow(ctx context.Context, cfg Config) (*flow, error) {
	to, err := cfg.address()
	if err != nil {
		return nil, err
	}
	const most = 1024 // of everything in a PUBLISH but its payload
	l, err := newLoop(ctx, cfg.Payload+most)
	if err != nil {
		return nil, err
	}
	f := &flow{cfg: cfg, l: l, to: to, run: rand.Uint32(), stopped: true}
	f.show = progress{f: f}
	f.aim = func(*publisher, uint64) int32 { return 1 }
	if cfg.Rate > 0 {
		f.interval = float64(time.Second) / cfg.Rate
	}
	l.after = f.turned
	return f, nil
}

// client makes a connection that is not dialled yet.
func (f *flow) client(name string) *conn {
	return &conn{id: fmt.Sprintf("bench-%08x-%s", f.run, name), v: f.cfg.Version}
}

// topic is a topic of this run alone.
func (f *flow) topic(name string) string { return fmt.Sprintf("bench/%08x/%s", f.run, name) }

// greeting is the CONNECT of c.
func (f *flow) greeting(c *conn, clean bool) []byte {
	p := packet.Connect{Version: f.cfg.Version, CleanStart: clean, ClientID: c.id, KeepAlive: c.keepAlive, Will: c.will}
	if f.cfg.Username != "" {
		p.HasUser, p.Username = true, f.cfg.Username
		p.HasPass, p.Password = f.cfg.Password != "", []byte(f.cfg.Password)
	}
	if !clean && f.cfg.Version == packet.V5 {
		p.Props = (&packet.Properties{SessionExpiry: 3600}).Mark(packet.PropSessionExpiry)
	}
	return p.Append(nil, f.cfg.Version)
}

// connect opens cs, some at a time, and waits until all are.
func (f *flow) connect(clean bool, cs ...*conn) error {
	next, pending := 0, []*conn{}
	return f.within(setUpTime, "connect", func() (bool, error) {
		kept := pending[:0]
		for _, c := range pending {
			if c.state != open {
				kept = append(kept, c)
			}
		}
		pending = kept
		for ; next < len(cs) && len(pending) < connectAtOnce; next++ {
			c := cs[next]
			if err := f.l.open(f.to, c.local, f.greeting(c, clean), c); err != nil {
				return false, err
			}
			pending = append(pending, c)
		}
		return len(pending) == 0, nil
	})
}

// subscribed waits until every SUBACK of cs is there.
func (f *flow) subscribed(cs ...*conn) error {
	return f.within(setUpTime, "subscribe", func() (bool, error) {
		for len(cs) > 0 && cs[0].subacks == 0 {
			cs = cs[1:]
		}
		return len(cs) == 0, nil
	})
}

// within turns until done, for at most d.
func (f *flow) within(d time.Duration, what string, done func() (bool, error)) error {
	end := f.l.clock() + int64(d)
	var fault error
	err := f.l.until(func() (ok bool) {
		if ok, fault = done(); !ok && fault == nil && f.l.now > end {
			fault = fmt.Errorf("%s: not done after %v", what, d)
		}
		return ok || fault != nil
	})
	return errors.Join(fault, err)
}

// again has p pumped at the end of the turn.
func (f *flow) again(p *publisher) {
	if !p.queued {
		p.queued = true
		f.ready = append(f.ready, p)
	}
}

// start lets the publishers go.
func (f *flow) start() {
	f.stopped, f.epoch = false, f.l.clock()
	for _, p := range f.pubs {
		p.open(f.cfg.Window)
		p.movement = f.l.now
		f.again(p)
	}
	f.turned()
}

// turned is the end of a turn of the loop.
func (f *flow) turned() (at int64) {
	now := f.l.clock() // handling what came is not part of the next latencies
	ready := f.ready
	f.ready = f.spare[:0]
	for _, p := range ready {
		p.queued = false
		p.pump(now)
	}
	f.spare = ready
	if f.show.due(now) {
		f.tick(now)
	}
	if f.interval == 0 || f.stopped {
		return 0
	}
	return f.turns(now)
}

// turns pumps the publishers whose turn has come, and says when the next one is due.
func (f *flow) turns(now int64) (at int64) {
	for ; f.due(f.turn) <= now; f.turn++ {
		f.pubs[f.turn%uint64(len(f.pubs))].pump(now)
	}
	return f.due(f.turn)
}

func (f *flow) due(turn uint64) int64 { return f.epoch + int64(float64(turn)*f.interval) }

// tick is once a second.
func (f *flow) tick(now int64) {
	for _, p := range f.pubs {
		if len(p.flight) > 0 {
			p.giveUp(now)
		}
	}
	f.show.tell(now)
}

// count enters a delivery.
func (f *flow) count(a arrival, m *stamp) {
	switch a {
	case duplicated:
		f.duplicated++
		return
	case reordered:
		f.reordered++
	}
	f.delivered++
	if f.measuring {
		f.latency.Record(f.l.now - m.due)
	}
}

// acknowledged enters a publish whose last acknowledgement came.
func (f *flow) acknowledged(p *publisher, m *inFlight) {
	f.confirmed++
	if f.measuring {
		f.acks.Record(p.c.l.now - m.sent)
	}
}

// steady warms up and measures while publishers publish.
func (f *flow) steady(r *Result, basis func() uint64) error {
	f.show.phase = "warming up"
	f.start()
	if err := f.l.forNow(max(0, f.cfg.WarmUp)); err != nil {
		return err
	}
	f.show.phase = "measuring"
	err := f.measure(r, basis, func() error { return f.l.forNow(f.cfg.Duration) })
	f.stopped = true
	return err
}

// measure enters into r what the broker spends while do runs, for each of what basis counts.
func (f *flow) measure(r *Result, basis func() uint64, do func() error) error {
	var m meter
	if err := m.begin(f.cfg.PID); err != nil {
		return err
	}
	published, done, since := f.published, basis(), f.l.clock()
	f.measuring = true
	err := do()
	f.measuring = false
	if err != nil {
		return err
	}
	r.Seconds = time.Duration(f.l.clock() - since).Seconds()
	r.Published, r.Messages = f.published-published, basis()-done
	r.Rate = float64(r.Messages) / r.Seconds
	r.Latency = percentiles(&f.latency)
	r.AckLatency = percentiles(&f.acks)
	return m.end(r)
}

// settle waits until everything published is delivered and acknowledged, or nothing moves any more.
func (f *flow) settle() error {
	f.show.phase = "draining"
	last, moved := uint64(0), f.l.clock()
	return f.l.until(func() bool {
		if n := f.delivered + f.confirmed + f.duplicated; n != last {
			last, moved = n, f.l.now
		}
		return f.delivered >= f.owed && f.idle() || f.l.now-moved > int64(f.cfg.Settle)
	})
}

func (f *flow) idle() bool {
	for _, p := range f.pubs {
		if p.c.state == open && !p.idle() {
			return false
		}
	}
	return true
}

// verdict enters what is wrong with the messages.
func (f *flow) verdict(r *Result) {
	for _, s := range f.subs {
		r.Lost += s.lost()
	}
	r.Duplicated, r.Reordered = f.duplicated, f.reordered
	if !f.idle() {
		r.Unacknowledged = f.unacknowledged()
	}
}

func (f *flow) unacknowledged() (n uint64) {
	for _, p := range f.pubs {
		for i := range p.flight {
			if p.flight[i].state != acked {
				n++
			}
		}
	}
	return n
}

// leave says goodbye everywhere.
func (f *flow) leave() {
	for _, c := range f.l.conns {
		c.leave()
	}
}

func conns[T any](all []T, of func(T) *conn) []*conn {
	cs := make([]*conn, len(all))
	for i, x := range all {
		cs[i] = of(x)
	}
	return cs
}

func (f *flow) pubConns() []*conn { return conns(f.pubs, func(p *publisher) *conn { return p.c }) }
func (f *flow) subConns() []*conn { return conns(f.subs, func(s *subscriber) *conn { return s.c }) }
