package firmwaresim

import (
	"encoding/json"
	"math/rand/v2"
	"time"
)

// device is the firmware of one device as a state machine without I/O and clock. What it is told returns
// what is to be done. Not safe for concurrent use.
//
//	off ──boot──▶ connecting ──connected──▶ online
//	                  ▲  │                     │
//	                wake └───disconnected──────┤
//	                  │                        ▼
//	                  └──────────────────── waiting
//
// Readings go on in every state but off. What is made at QoS 1 and 2 while the window is full or the device
// is not online waits in the outbox; when that is full the reading is given up and counted.
type device struct {
	id     string
	model  model
	prefix string // of its topics
	sensor sensor
	rng    *rand.Rand
	limits limits

	state    state
	boots    int // connects so far that were answered
	attempts int // connects in a row that were not
	resting  bool

	reading time.Time // when the next one is due; zero = none
	retry   time.Time // when to connect again, while waiting

	seqs     [kinds][3]uint64
	outbox   []Outgoing
	births   int // in the outbox
	inflight int // QoS 1 and 2 messages sent and not acknowledged

	notPublished uint64
}

// limits bound a device's memory. rate divides its intervals.
type limits struct {
	outbox int
	window int
	rate   float64
}

type state byte

const (
	off state = iota
	connecting
	online
	waiting
)

// action is something the device wants done, in order.
type action struct {
	do  verb
	out Outgoing // for send
}

type verb byte

const (
	connect verb = iota // and have its commands subscribed; answered with connected or disconnected
	send                // QoS 1 and 2 are answered with acknowledged
)

func newDevice(id, run, site string, m model, lim limits, rng *rand.Rand) *device {
	return &device{id: id, model: m, prefix: topicPrefix(run, site, m.name, id), sensor: m.build(rng), rng: rng, limits: lim}
}

// boot starts the firmware. The first reading comes at some moment of a usual interval.
func (d *device) boot(now time.Time) []action {
	d.state = connecting
	d.reading = now.Add(time.Duration(d.rng.Float64() * float64(d.interval(d.model.every))))
	return []action{{do: connect}}
}

// nextWake is when wake is to be called; zero = not before something else happens.
func (d *device) nextWake() time.Time {
	if d.state != waiting {
		return d.reading
	}
	if d.reading.IsZero() || d.retry.Before(d.reading) {
		return d.retry
	}
	return d.reading
}

// wake does what is due.
func (d *device) wake(now time.Time) (todo []action) {
	if d.state == waiting && !now.Before(d.retry) {
		d.state = connecting
		todo = append(todo, action{do: connect})
	}
	if !d.reading.IsZero() && !now.Before(d.reading) {
		b, qos, next := d.sensor.read(now, d.rng)
		d.reading = now.Add(d.jitter(d.interval(next)))
		d.make(now, Telemetry, qos, b)
	}
	return append(todo, d.pump()...)
}

func (d *device) interval(every time.Duration) time.Duration {
	return max(time.Duration(float64(every)/d.limits.rate), time.Millisecond)
}

// jitter changes a wait by up to a tenth.
func (d *device) jitter(wait time.Duration) time.Duration {
	return time.Duration(float64(wait) * (0.9 + 0.2*d.rng.Float64()))
}

// connected follows CONNACK and, when the broker did not remember the session, SUBACK.
func (d *device) connected(now time.Time) []action {
	d.state, d.attempts = online, 0
	d.boots++
	d.birth(now)
	return d.pump()
}

// birth says that the device is there. One that waits in the outbox is enough.
func (d *device) birth(now time.Time) {
	if d.births > 0 {
		return
	}
	d.births++
	d.outbox = append(d.outbox, d.stamp(now, Status, 1, &statusBody{
		Status: "online", Model: d.model.name, Firmware: d.model.firmware, Boots: d.boots,
	}))
}

// disconnected follows a connect that failed or a connection that ended.
func (d *device) disconnected(now time.Time) {
	d.state = waiting
	d.retry = now.Add(backoff(d.attempts, d.rng))
	d.attempts++
}

// acknowledged follows the end of one QoS 1 or 2 exchange.
func (d *device) acknowledged() []action {
	d.inflight--
	return d.pump()
}

// receive handles a command. A payload that is none is ignored, as firmware would.
func (d *device) receive(now time.Time, payload []byte) []action {
	var c commandBody
	if json.Unmarshal(payload, &c) != nil || c.Command == "" {
		return nil
	}
	result, ok := d.sensor.command(c.Command, c.Value, now)
	d.make(now, Reply, 1, &replyBody{Command: c.Command, CommandSeq: c.Seq, OK: ok, Result: result})
	return d.pump()
}

// rest ends the readings; the outbox is still sent and commands are still answered.
func (d *device) rest() {
	d.resting = true
	d.reading = time.Time{}
}

// make turns b into a message, or gives it up.
func (d *device) make(now time.Time, k Kind, qos byte, b body) {
	if qos == 0 && d.state != online || len(d.outbox) >= d.limits.outbox {
		d.notPublished++
		return
	}
	d.outbox = append(d.outbox, d.stamp(now, k, qos, b))
}

// stamp numbers b within its lane.
func (d *device) stamp(now time.Time, k Kind, qos byte, b body) Outgoing {
	d.seqs[k][qos]++
	*b.head() = Header{Device: d.id, Seq: d.seqs[k][qos], QoS: qos, Time: now}
	return Outgoing{
		Kind: k, Seq: d.seqs[k][qos], Topic: d.prefix + k.String(), Payload: encode(b), QoS: qos, Retain: k == Status,
	}
}

// pump sends from the outbox, in order, what the window allows.
func (d *device) pump() (todo []action) {
	for d.state == online && len(d.outbox) > 0 {
		out := d.outbox[0]
		if out.QoS > 0 && d.inflight >= d.limits.window {
			break
		}
		if out.QoS > 0 {
			d.inflight++
		}
		if out.Kind == Status {
			d.births--
		}
		d.outbox = d.outbox[1:]
		todo = append(todo, action{do: send, out: out})
	}
	if len(d.outbox) == 0 {
		d.outbox = nil // lets the memory behind it go
	}
	return todo
}

// putBack takes sends of pump that could not be done, for the next pump.
func (d *device) putBack(undone []action) {
	var back []Outgoing
	for _, a := range undone {
		if a.do != send {
			continue
		}
		if a.out.QoS > 0 {
			d.inflight--
		}
		if a.out.Kind == Status {
			d.births++
		}
		back = append(back, a.out)
	}
	d.outbox = append(back, d.outbox...)
}

// will is what the broker says for the device when it vanishes.
func (d *device) will(now time.Time) Outgoing {
	b := &statusBody{Header: Header{Device: d.id, Time: now}, Status: "offline", Model: d.model.name, Firmware: d.model.firmware, Boots: d.boots}
	return Outgoing{Kind: Status, Topic: d.prefix + Status.String(), Payload: encode(b), QoS: 1, Retain: true}
}
