package firmwaresim

import (
	"context"
	"sync"
	"time"

	"mangrove/internal/due"
	"mangrove/mqtt/client"
)

// runner gives one device its clock and its network.
//
//	scheduler ─wake─▶ device ─actions─▶ link ─PUBLISH─▶ broker
//	                    ▲  ▲               │
//	                    │  └─acknowledged──┤
//	                    └────command───────┘
type runner struct {
	fleet    *fleet
	account  int           // in the ledger
	site     int           // index of its broker
	session  *client.State // what is not acknowledged, kept between connections
	alarm    due.Mark      // the scheduler's
	connects int           // of live alone, which runs once at a time

	mu         sync.Mutex
	device     *device
	link       *link     // nil while not connected
	subscribed time.Time // when the broker last confirmed the subscription to commands
	proven     time.Time // when something sent after that had crossed the system; zero = not yet
}

// Due implements due.Item.
func (r *runner) Due() *due.Mark { return &r.alarm }

func (r *runner) boot(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doLocked(r.device.boot(now))
}

func (r *runner) wake(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doLocked(r.device.wake(now))
}

func (r *runner) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.device.rest()
	r.doLocked(nil)
}

// doLocked does what the device wants, and sets its alarm.
func (r *runner) doLocked(todo []action) {
	for i, a := range todo {
		if a.do == connect {
			r.fleet.owned.Go(r.live) // one connection's life; ends with it or with the fleet, whose close waits
		} else if !r.sendLocked(a.out) {
			r.device.putBack(todo[i:])
			break
		}
	}
	if !r.fleet.leaving.Load() {
		r.fleet.scheduler.set(r, r.device.nextWake())
	}
}

// sendLocked is false when the client does not take out now: its connection is ending, or its buffer full.
func (r *runner) sendLocked(out Outgoing) bool {
	r.fleet.ledger.published(r.account, out.Kind, out.QoS, out.Seq)
	err := r.link.publish(out, func(ok bool) { r.acknowledged(out, ok) })
	if err != nil {
		r.fleet.ledger.withdraw(r.account, out.Kind, out.QoS, out.Seq)
	}
	return err == nil
}

// acknowledged is called once for each QoS 1 and 2 message, by whichever connection gets to know.
func (r *runner) acknowledged(out Outgoing, ok bool) {
	r.fleet.ledger.acknowledged(r.account, out.Kind, out.QoS, out.Seq, ok)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doLocked(r.device.acknowledged())
}

// live connects and stays with the connection until it ends.
func (r *runner) live() {
	l, err := r.connect()
	if err != nil {
		r.fleet.cfg.Log.Debug("device cannot connect", "device", r.device.id, "err", err)
		r.down()
		return
	}
	r.up(l)
	select {
	case <-l.Done():
	case <-r.fleet.ctx.Done():
		l.close()
	}
	r.fleet.connected.Add(-1)
	r.down()
}

// connect waits for a place, dials, and subscribes to commands unless the broker remembers that.
func (r *runner) connect() (*link, error) {
	f := r.fleet
	select {
	case f.dials <- struct{}{}:
		defer func() { <-f.dials }()
	case <-f.ctx.Done():
		return nil, f.ctx.Err()
	}
	ctx, cancel := context.WithTimeout(f.ctx, linkTime)
	defer cancel()
	l, present, err := dial(ctx, r.config())
	if err != nil {
		return nil, err
	}
	f.count(r, present)
	if present {
		return l, nil
	}
	if err := l.subscribe(ctx, 1, r.device.prefix+Command.String()); err != nil {
		l.close()
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.subscribed, r.proven = time.Now(), time.Time{}
	return l, nil
}

func (r *runner) config() linkConfig {
	r.mu.Lock()
	defer r.mu.Unlock()
	f, will := r.fleet, r.device.will(time.Now())
	return linkConfig{
		addr: f.cfg.Brokers[r.site], id: "sim-" + f.run + "-" + r.device.id, username: f.cfg.Username, password: f.cfg.Password,
		session: r.session, will: &will, receive: r.receive,
	}
}

func (r *runner) up(l *link) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fleet.connected.Add(1)
	r.link = l
	r.device.limits.window = min(r.fleet.cfg.Window, l.receiveMaximum())
	r.doLocked(r.device.connected(time.Now()))
}

func (r *runner) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.link = nil
	r.device.disconnected(time.Now())
	r.doLocked(nil)
}

// receive handles a command that came in.
func (r *runner) receive(_ string, payload []byte, _ bool) {
	now := time.Now()
	h, err := readHeader(payload)
	if err != nil {
		return
	}
	r.fleet.ledger.received(Command, h, now)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doLocked(r.device.receive(now, payload))
}

// heard notes that a message the device made at that time has crossed the system.
func (r *runner) heard(made, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proven.IsZero() && !r.subscribed.IsZero() && made.After(r.subscribed) {
		r.proven = now
	}
}

// commandable reports whether a command sent from elsewhere must reach the device: what it said after its
// subscription was heard there a while ago.
func (r *runner) commandable(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.proven.IsZero() && now.Sub(r.proven) > commandGrace
}

// retire clears the device's status and ends its session at the broker.
func (r *runner) retire(ctx context.Context) error {
	r.mu.Lock()
	l := r.link
	r.mu.Unlock()
	if l != nil {
		r.clearStatus(ctx, l)
		l.close()
	}
	return forget(ctx, r.config())
}

func (r *runner) clearStatus(ctx context.Context, l *link) {
	done := make(chan struct{})
	out := Outgoing{Topic: r.device.prefix + Status.String(), QoS: 1, Retain: true}
	if l.publish(out, func(bool) { close(done) }) != nil {
		return // the connection has just ended: the will stays instead
	}
	select {
	case <-done:
	case <-l.Done():
	case <-ctx.Done():
	}
}
