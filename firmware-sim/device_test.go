package firmwaresim

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// script drives one device by hand.
type script struct {
	t   *testing.T
	d   *device
	now time.Time
}

func newScript(t *testing.T, m model, lim limits) *script {
	return &script{t: t, d: newDevice("d-1", "r", "site-1", m, lim, rand.New(rand.NewPCG(1, 2))), now: epoch}
}

// want compares verbs and, for sends, kinds: "connect", "send telemetry".
func (s *script) want(why string, got []action, want ...string) {
	s.t.Helper()
	var words []string
	for _, a := range got {
		word := []string{"connect", "send"}[a.do]
		if a.do == send {
			word += " " + a.out.Kind.String()
		}
		words = append(words, word)
	}
	if len(words) != len(want) {
		s.t.Fatalf("%s: got %q, want %q", why, words, want)
	}
	for i := range want {
		if words[i] != want[i] {
			s.t.Fatalf("%s: got %q, want %q", why, words, want)
		}
	}
}

// advance goes to the device's next wake.
func (s *script) advance() []action {
	s.t.Helper()
	next := s.d.nextWake()
	if next.Before(s.now) {
		s.t.Fatalf("got next wake %v, before now %v", next, s.now)
	}
	s.now = next
	return s.d.wake(s.now)
}

var roomy = limits{outbox: 8, window: 4, rate: 1}

func TestDeviceBootsAndSaysSo(t *testing.T) {
	s := newScript(t, thermostatModel, roomy)
	s.want("boot", s.d.boot(s.now), "connect")
	todo := s.d.connected(s.now)
	s.want("first connect", todo, "send status")
	if out := todo[0].out; !out.Retain || out.QoS != 1 || out.Topic != "sim/r/site-1/thermostat/d-1/status" {
		t.Errorf("got birth %+v, want it retained at QoS 1", out)
	}
	s.want("first reading", s.advance(), "send telemetry")
	s.d.disconnected(s.now)
	s.now = s.d.retry
	if todo := s.d.wake(s.now); todo[0].do != connect {
		t.Fatalf("got %v after backoff, want connect", todo)
	}
	s.want("back, and says so again", s.d.connected(s.now), "send status")
}

func TestDeviceNumbersEachLaneFromOne(t *testing.T) {
	s := newScript(t, powerMeterModel, limits{outbox: 100, window: 100, rate: 1})
	s.d.boot(s.now)
	s.d.connected(s.now)
	var next [3]uint64
	for range 20 {
		for _, a := range s.advance() {
			var h Header
			if err := json.Unmarshal(a.out.Payload, &h); err != nil {
				t.Fatal(err)
			}
			next[h.QoS]++
			if h.Seq != next[h.QoS] || h.Device != "d-1" || !h.Time.Equal(s.now) || h.QoS != a.out.QoS {
				t.Errorf("got header %+v at %v, want seq %d", h, s.now, next[h.QoS])
			}
		}
	}
	if next[1] != 16 || next[2] != 4 {
		t.Errorf("got %v readings by QoS, want every fifth at QoS 2", next)
	}
}

func TestDeviceKeepsToItsWindowAndOutbox(t *testing.T) {
	s := newScript(t, thermostatModel, limits{outbox: 3, window: 2, rate: 1})
	s.d.boot(s.now)
	s.want("birth takes one place", s.d.connected(s.now), "send status")
	s.want("second place", s.advance(), "send telemetry")
	for range 5 {
		s.want("window full", s.advance())
	}
	if len(s.d.outbox) != 3 || s.d.notPublished != 2 {
		t.Errorf("got %d in the outbox, %d not published; want 3, 2", len(s.d.outbox), s.d.notPublished)
	}
	s.want("one acknowledged, one goes", s.d.acknowledged(), "send telemetry")
}

func TestDeviceOfflineKeepsQoS1AndCountsQoS0(t *testing.T) {
	s := newScript(t, gpsTrackerModel, limits{outbox: 100, window: 100, rate: 1})
	s.d.boot(s.now)
	s.d.connected(s.now)
	s.d.disconnected(s.now)
	s.d.retry = s.now.Add(time.Hour)
	for range 2 * waypointEvery {
		s.want("offline", s.advance())
	}
	if len(s.d.outbox) != 2 || s.d.notPublished != 2*waypointEvery-2 {
		t.Errorf("got %d kept, %d not published; want 2 waypoints kept, the rest counted", len(s.d.outbox), s.d.notPublished)
	}
	s.want("back online, in order", s.d.connected(s.now), "send telemetry", "send telemetry", "send status")
}

func TestDeviceSendsOneBirthHoweverOftenItConnects(t *testing.T) {
	s := newScript(t, doorModel, limits{outbox: 1, window: 1, rate: 1})
	s.d.boot(s.now)
	s.want("first", s.d.connected(s.now), "send status")
	for range 10 {
		s.d.disconnected(s.now)
		s.want("window taken", s.d.connected(s.now))
	}
	if len(s.d.outbox) != 1 {
		t.Errorf("got %d in the outbox, want the one birth", len(s.d.outbox))
	}
}

func TestDeviceAnswersCommands(t *testing.T) {
	s := newScript(t, thermostatModel, roomy)
	s.d.boot(s.now)
	s.d.connected(s.now)
	payload := encode(&commandBody{Header: Header{Device: "d-1", Seq: 7}, Command: "set_target", Value: 21.5})
	todo := s.d.receive(s.now, payload)
	s.want("answer", todo, "send reply")
	var reply replyBody
	if err := json.Unmarshal(todo[0].out.Payload, &reply); err != nil {
		t.Fatal(err)
	}
	if reply.CommandSeq != 7 || !reply.OK || reply.Result != 21.5 {
		t.Errorf("got reply %+v, want 21.5 for command 7", reply)
	}
	s.want("not a command", s.d.receive(s.now, []byte("{}")))
	s.want("not JSON", s.d.receive(s.now, []byte{0xff}))
}

func TestDeviceRestsButEmptiesItsOutbox(t *testing.T) {
	s := newScript(t, doorModel, limits{outbox: 8, window: 1, rate: 1})
	s.d.boot(s.now)
	s.d.connected(s.now)
	s.advance()
	s.d.rest()
	if !s.d.nextWake().IsZero() {
		t.Errorf("got a next wake while resting, want none")
	}
	s.want("outbox", s.d.acknowledged(), "send telemetry")
}

func TestBackoffDoublesUpToItsCap(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 40 {
		bound := min(backoffBase<<min(n, 10), backoffCap)
		for range 50 {
			if d := backoff(n, rng); d < 0 || d >= bound {
				t.Fatalf("got %v at attempt %d, want less than %v", d, n, bound)
			}
		}
	}
}

// Every model speaks JSON and stays plausible for a week of readings.
func TestModelsReadAndAnswer(t *testing.T) {
	for _, m := range models() {
		rng := rand.New(rand.NewPCG(3, 4))
		s, now := m.build(rng), epoch
		for range 2000 {
			b, qos, next := s.read(now, rng)
			if qos > 2 || next <= 0 && m.name != "door" {
				t.Fatalf("%s: got QoS %d, next %v", m.name, qos, next)
			}
			if !json.Valid(encode(b)) {
				t.Fatalf("%s: got invalid JSON", m.name)
			}
			now = now.Add(next)
		}
		for _, c := range m.commands {
			if _, ok := s.command(c, 20, now); !ok {
				t.Errorf("%s: got %q refused", m.name, c)
			}
		}
		if _, ok := s.command("explode", 0, now); ok {
			t.Errorf("%s: got an unknown command done", m.name)
		}
	}
}

func TestPickModels(t *testing.T) {
	if got, err := pickModels([]string{"door"}); err != nil || len(got) != 1 || got[0].name != "door" {
		t.Errorf("got %v, %v; want the door", got, err)
	}
	if _, err := pickModels([]string{"toaster"}); err == nil {
		t.Error("got no error for an unknown model")
	}
}

func TestDeviceTakesBackWhatCouldNotBeSent(t *testing.T) {
	s := newScript(t, thermostatModel, limits{outbox: 8, window: 8, rate: 1})
	s.d.boot(s.now)
	for range 3 {
		s.advance()
	}
	todo := s.d.connected(s.now)
	s.want("all at once", todo, "send telemetry", "send telemetry", "send telemetry", "send status")
	s.d.putBack(todo[1:])
	if s.d.inflight != 1 || len(s.d.outbox) != 3 || s.d.births != 1 {
		t.Errorf("got %d in flight, %d in the outbox, %d births; want 1, 3, 1", s.d.inflight, len(s.d.outbox), s.d.births)
	}
	again := s.d.acknowledged()
	s.want("in the same order", again, "send telemetry", "send telemetry", "send status")
	if again[0].out.Seq != 2 || again[1].out.Seq != 3 {
		t.Errorf("got seq %d and %d, want 2 and 3", again[0].out.Seq, again[1].out.Seq)
	}
}
