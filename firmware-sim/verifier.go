package firmwaresim

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt/client"
)

// Bounds and times of the verifier.
const (
	probeEvery   = 100 * time.Millisecond
	reachTime    = 3 * time.Second  // until every broker must have answered
	probeTime    = 30 * time.Second // until every way must be open
	commandGrace = time.Second      // see commandable
	maxCommands  = 1000             // unacknowledged; at the bound no more are sent
	verifierPace = 250 * time.Millisecond
)

// probeLevel stands for the model and the device in the topics of probes.
const probeLevel = "probe"

// verifier listens to each site at another broker than the site's own, and sends commands from there.
type verifier struct {
	fleet    *fleet
	stations []*station      // one at each broker
	open     []atomic.Uint32 // of each site: a bit for each kind whose probe came through
	answers  []spans         // of each device: the commands that were answered

	mu       sync.Mutex
	sequence []uint64 // of each device: the last command
	sent     uint64
	answered uint64
	waiting  int
	arrivals atomic.Uint64
}

// station is the verifier's client at one broker: a session that outlives connections.
type station struct {
	verifier *verifier
	broker   int
	session  *client.State

	mu   sync.Mutex
	link *link // nil while not connected
	err  error // of the last attempt
}

func newVerifier(f *fleet) *verifier {
	n := len(f.cfg.Brokers)
	v := &verifier{fleet: f, open: make([]atomic.Uint32, n), answers: make([]spans, len(f.runners)), sequence: make([]uint64, len(f.runners))}
	for i := range n {
		s := &station{verifier: v, broker: i, session: new(client.State)}
		v.stations = append(v.stations, s)
		f.owned.Go(s.run) // ends with the fleet, whose close waits
	}
	return v
}

// elsewhere is the broker at which a site is verified.
func (v *verifier) elsewhere(site int) int { return (site + 1) % len(v.stations) }

// siteOf is the site that is verified at a broker.
func (v *verifier) siteOf(broker int) int { return (broker - 1 + len(v.stations)) % len(v.stations) }

// run keeps the station connected.
func (s *station) run() {
	f := s.verifier.fleet
	rng := rand.New(rand.NewPCG(f.cfg.Seed, uint64(s.broker)))
	for attempt := 0; f.ctx.Err() == nil; attempt++ {
		l, err := s.connect()
		if err != nil {
			f.cfg.Log.Debug("verifier cannot connect", "broker", f.cfg.Brokers[s.broker], "err", err)
			s.set(nil, err)
			pause(f.ctx, verifierPace+backoff(min(attempt, 2), rng))
			continue
		}
		attempt = 0
		s.set(l, nil)
		select {
		case <-l.Done():
		case <-f.ctx.Done():
		}
		s.set(nil, nil)
		l.close()
	}
}

func (s *station) connect() (*link, error) {
	f := s.verifier.fleet
	ctx, cancel := context.WithTimeout(f.ctx, linkTime)
	defer cancel()
	l, present, err := dial(ctx, s.config())
	if err != nil || present {
		return l, err
	}
	if err := l.subscribe(ctx, 2, siteFilters(f.run, siteName(s.verifier.siteOf(s.broker)))...); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (s *station) config() linkConfig {
	f := s.verifier.fleet
	return linkConfig{
		addr: f.cfg.Brokers[s.broker], id: fmt.Sprintf("sim-%s-verifier-%d", f.run, s.broker+1),
		username: f.cfg.Username, password: f.cfg.Password, session: s.session, receive: s.receive,
	}
}

func (s *station) set(l *link, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link, s.err = l, err
}

// current is the connection, nil while there is none.
func (s *station) current() *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link
}

// trouble is why there is no connection; nil when there is one, or none was tried yet.
func (s *station) trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// receive enters what came in from a device.
func (s *station) receive(topic string, payload []byte, retained bool) {
	now, v := time.Now(), s.verifier
	levels := strings.Split(topic, "/") // sim/run/site/model/device/kind
	if retained || len(levels) != 6 {
		return
	}
	kind, ok := kindOf(levels[5])
	if !ok || kind == Command {
		return
	}
	if levels[3] == probeLevel {
		v.open[v.siteOf(s.broker)].Or(1 << kind)
		return
	}
	h, err := readHeader(payload)
	if err != nil || h.Seq == 0 { // a will, or a retained message that was cleared
		return
	}
	v.arrivals.Add(1)
	v.fleet.ledger.received(kind, h, now)
	if device, known := v.fleet.ledger.byID[h.Device]; known {
		v.fleet.runners[device].heard(h.Time, now)
		if kind == Reply {
			v.answer(device, payload)
		}
	}
}

func readHeader(payload []byte) (*Header, error) {
	var h Header
	err := json.Unmarshal(payload, &h)
	return &h, err
}

// answer counts the first reply to each command.
func (v *verifier) answer(device int, payload []byte) {
	var reply replyBody
	if json.Unmarshal(payload, &reply) != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answers[device].add(reply.CommandSeq) {
		v.answered++
	}
}

// probe sends through every site's broker until it is heard elsewhere: subscriptions take a moment to be
// known in the whole system, and what is published before is not owed to anybody.
func (v *verifier) probe(ctx context.Context) error {
	begin := time.Now()
	for {
		shut := v.sendProbes()
		if shut == "" {
			return nil
		}
		switch waited := time.Since(begin); {
		case waited > probeTime:
			return fmt.Errorf("nothing comes through %s (waited %v)", shut, probeTime)
		case waited > reachTime:
			if err := v.unreachable(); err != nil {
				return err
			}
		}
		if !pause(ctx, probeEvery) {
			return ctx.Err()
		}
	}
}

// unreachable is the trouble of the first station that has some.
func (v *verifier) unreachable() error {
	for _, s := range v.stations {
		if err := s.trouble(); err != nil {
			return fmt.Errorf("verifier: %w", err)
		}
	}
	return nil
}

const everyWay = 1<<Telemetry | 1<<Status | 1<<Reply

// sendProbes probes the ways that are not open yet and describes one of them; "" = all are.
func (v *verifier) sendProbes() (shut string) {
	for site, s := range v.stations {
		open := v.open[site].Load()
		if open == everyWay {
			continue
		}
		from, to := v.fleet.cfg.Brokers[site], v.fleet.cfg.Brokers[v.elsewhere(site)]
		l := s.current()
		if l == nil {
			shut = "through " + from
			continue
		}
		shut = "from " + from + " to " + to
		for _, k := range []Kind{Telemetry, Status, Reply} {
			if open&(1<<k) == 0 {
				probe := Outgoing{Topic: topicPrefix(v.fleet.run, siteName(site), probeLevel, probeLevel) + k.String()}
				_ = l.publish(probe, nil) // the next round tries again
			}
		}
	}
	return shut
}

// command sends one command to some device that is ready for it.
func (v *verifier) command(rng *rand.Rand, now time.Time) {
	device := rng.IntN(len(v.fleet.runners))
	r := v.fleet.runners[device]
	l := v.stations[v.elsewhere(r.site)].current()
	if l == nil || !r.commandable(now) {
		return
	}
	commands := r.device.model.commands
	body := &commandBody{Command: commands[rng.IntN(len(commands))], Value: round(17+6*rng.Float64(), 1)}
	out, ok := v.number(device, now, body)
	if !ok {
		return
	}
	v.fleet.ledger.published(device, Command, 1, out.Seq)
	err := l.publish(out, func(ok bool) {
		v.fleet.ledger.acknowledged(device, Command, 1, out.Seq, ok)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.waiting--
	})
	if err != nil {
		v.fleet.ledger.withdraw(device, Command, 1, out.Seq)
		v.mu.Lock()
		defer v.mu.Unlock()
		v.waiting--
		v.sent--
		v.sequence[device]--
	}
}

// number makes a command's message; false at the bound of unacknowledged ones.
func (v *verifier) number(device int, now time.Time, c *commandBody) (Outgoing, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.waiting >= maxCommands {
		return Outgoing{}, false
	}
	v.waiting++
	v.sent++
	v.sequence[device]++
	d := v.fleet.runners[device].device
	c.Header = Header{Device: d.id, Seq: v.sequence[device], QoS: 1, Time: now}
	return Outgoing{Kind: Command, Seq: c.Seq, Topic: d.prefix + Command.String(), Payload: encode(c), QoS: 1}, true
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retire ends the verifier's sessions. Call it when the fleet's connections have ended.
func (v *verifier) retire() {
	ctx, cancel := context.WithTimeout(context.Background(), retireTime)
	defer cancel()
	for _, s := range v.stations {
		if err := forget(ctx, s.config()); err != nil {
			v.fleet.cfg.Log.Warn("the verifier's session stays at its broker", "broker", s.config().addr, "err", err)
		}
	}
}
