package pace

import (
	"testing"
	"time"
)

// line is a simulated one: bytes leave it at rate, and the answer comes after rtt.
type line struct {
	p    Pace
	rate float64       // bytes a second
	rtt  time.Duration // without waiting
	disk time.Duration // how long the other node takes to keep what came
	back *line         // where answers go, behind what is sent there; nil = they do not wait
	tick float64       // how fast the other node's clock goes; 0 = answers do not tell when a frame came

	now     time.Time
	free    time.Time // when all that was sent has left
	flights []flight
	pos     uint64
	sent    int
	longest time.Duration // that a frame waited and took
}

type flight struct {
	size         int
	pos          uint64
	left, landed time.Time // left the line; acknowledged by the other node
	answered     bool      // it is known when it landed
}

// answerSize is what an answer has with what is around it.
const answerSize = 80

func newLine(rate float64, rtt, disk time.Duration) *line {
	return &line{p: New(), rate: rate, rtt: rtt, disk: disk, now: time.Unix(1, 0), free: time.Unix(1, 0)}
}

// run sends all it can, in frames of at least message bytes, for d.
func (l *line) run(d time.Duration, message int, durable bool) {
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(l.step()) {
		l.turn(message, durable)
	}
}

// turn sends all it can now.
func (l *line) turn(message int, durable bool) {
	l.arrive(durable)
	for l.underWay(durable) == 0 || l.underWay(durable)+max(l.p.Frame(), message) <= l.p.Window() {
		if !l.p.Room() {
			break
		}
		l.send(max(l.p.Frame(), message), durable)
	}
}

func (l *line) step() time.Duration { return max(l.rtt/20, time.Millisecond) }

func (l *line) send(n int, durable bool) {
	l.pos++
	l.carry(n)
	f := flight{size: n, pos: l.pos, left: l.free.Add(l.rtt)}
	f.landed, f.answered = f.left.Add(l.disk), l.back == nil
	l.longest = max(l.longest, l.free.Sub(l.now))
	l.flights = append(l.flights, f)
	answer := uint64(0)
	if durable {
		answer = l.pos
	}
	l.p.Sent(n, answer, l.now)
	l.sent += n
}

// carry puts n bytes behind what is on the line.
func (l *line) carry(n int) {
	if l.free.Before(l.now) {
		l.free = l.now
	}
	l.free = l.free.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
}

// answer sends answers to what has landed, behind what is on the way back.
func (l *line) answer() {
	for i := range l.flights {
		if f := &l.flights[i]; !f.answered && !f.landed.After(l.now) {
			l.back.carry(answerSize)
			f.landed, f.answered = l.back.free.Add(l.rtt), true
		}
	}
}

// came is when a frame came, by the other node's clock.
func (l *line) came(f flight) time.Duration {
	return time.Duration(float64(f.left.Sub(time.Unix(0, 0))) * l.tick).Truncate(time.Millisecond)
}

func (l *line) underWay(durable bool) (n int) {
	for _, f := range l.flights {
		if durable || f.left.After(l.now) {
			n += f.size
		}
	}
	return n
}

func (l *line) arrive(durable bool) {
	unacked := 0
	l.answer()
	for len(l.flights) > 0 && l.flights[0].answered && !l.flights[0].landed.After(l.now) {
		if durable {
			l.p.Answered(l.flights[0].pos, l.came(l.flights[0]), l.now)
		}
		l.flights = l.flights[1:]
	}
	for _, f := range l.flights {
		if f.left.After(l.now) {
			unacked += f.size
		}
	}
	l.p.Look(unacked, l.now)
}

// On each line that is not filled by others, most of what it carries is used, and no frame takes much more than a second
// and what is inevitable.
func TestPaceFindsTheLine(t *testing.T) {
	for _, c := range []struct {
		name      string
		rate      float64
		rtt, disk time.Duration
	}{
		{"2.4 kbit/s by satellite", 300, 2 * time.Second, 10 * time.Millisecond},
		{"2.4 kbit/s", 300, 50 * time.Millisecond, 10 * time.Millisecond},
		{"32 kbit/s", 4000, 400 * time.Millisecond, 50 * time.Millisecond},
		{"64 kbit/s, slow card", 8000, 100 * time.Millisecond, 700 * time.Millisecond},
		{"1 Mbit/s", 125_000, 50 * time.Millisecond, 10 * time.Millisecond},
		{"1 Gbit/s", 125_000_000, time.Millisecond, 5 * time.Millisecond},
	} {
		for _, durable := range []bool{true, false} {
			l := newLine(c.rate, c.rtt, c.disk)
			l.run(time.Minute, 1, durable)
			l.sent, l.longest = 0, 0
			l.run(time.Minute, 1, durable)
			if want := min(c.rate, 10_000_000) * 60 / 2; float64(l.sent) < want {
				t.Errorf("%s, durable %v: %d bytes in a minute, want at least %.0f; window %d", c.name, durable, l.sent, want, l.p.Window())
			}
			if got := float64(l.p.Rate()); c.rate < 1e6 && (got < 0.5*c.rate || got > 1.6*c.rate) || c.rate > 1e8 && got != 0 {
				t.Errorf("%s, durable %v: measured %.0f bytes a second", c.name, durable, got)
			}
			if most := 2*time.Second + time.Duration(3*MinWindow/c.rate*float64(time.Second)); l.longest > most {
				t.Errorf("%s, durable %v: a frame took %v, want at most %v; window %d", c.name, durable, l.longest, most, l.p.Window())
			}
		}
	}
}

// duplex joins two directions of one line.
func duplex(down, up *line) {
	down.back, up.back = up, down
}

// both runs both directions for d.
func both(d time.Duration, down, up *line) {
	for end := down.now.Add(d); down.now.Before(end); {
		down.turn(1, true)
		up.turn(1, true)
		down.now = down.now.Add(down.step())
		up.now = down.now
	}
}

// Answers stand behind a second of what the other node sends. Both directions get most of what they carry all the same, whichever begins,
// and nothing waits for longer than on a line that is busy one way.
func TestPaceOfALineBusyBothWays(t *testing.T) {
	for _, c := range []struct {
		name     string
		down, up float64
		rtt      time.Duration
	}{
		{"2.4 kbit/s by satellite", 300, 300, 2 * time.Second},
		{"2.4 kbit/s", 300, 300, 50 * time.Millisecond},
		{"32 kbit/s", 4000, 4000, 300 * time.Millisecond},
		{"more down than up", 40_000, 4000, 50 * time.Millisecond},
		{"more up than down", 2000, 40_000, 50 * time.Millisecond},
		{"1 Mbit/s", 125_000, 125_000, 50 * time.Millisecond},
	} {
		down, up := newLine(c.down, c.rtt, 10*time.Millisecond), newLine(c.up, c.rtt, 10*time.Millisecond)
		duplex(down, up)
		down.tick, up.tick = 1-1e-4, 1+1e-4
		for end := down.now.Add(20 * time.Second); down.now.Before(end); up.now = down.now {
			down.turn(1, true)
			down.now = down.now.Add(down.step())
		}
		both(40*time.Second, down, up)
		for _, l := range []*line{down, up} {
			l.sent, l.longest = 0, 0
		}
		both(time.Minute, down, up)
		for name, l := range map[string]*line{"down": down, "up": up} {
			if want := l.rate * 60 / 2; float64(l.sent) < want {
				t.Errorf("%s: %d bytes %s in a minute, want at least %.0f; window %d", c.name, l.sent, name, want, l.p.Window())
			}
			if most := 3*time.Second + time.Duration(4*MinWindow/l.rate*float64(time.Second)); l.longest > most {
				t.Errorf("%s: a frame %s took %v, want at most %v; window %d", c.name, name, l.longest, most, l.p.Window())
			}
		}
	}
}

// A fast line is found in no time.
func TestPaceGrowsAtOnce(t *testing.T) {
	l := newLine(125_000_000, time.Millisecond, time.Millisecond)
	l.run(100*time.Millisecond, 1, true)
	if l.p.Frame() != MaxFrame {
		t.Errorf("frames of %d bytes after 100 ms, want %d", l.p.Frame(), MaxFrame)
	}
}

// The line becomes a hundred times thinner, and wide again.
func TestPaceFollowsTheLine(t *testing.T) {
	l := newLine(100_000, 50*time.Millisecond, time.Millisecond)
	l.run(20*time.Second, 1, true)
	l.rate = 1000
	l.run(5*time.Minute, 1, true)
	if w := l.p.Window(); w > 3000 {
		t.Errorf("window of %d bytes at 1000 bytes a second, want at most 3000", w)
	}
	l.rate = 100_000
	l.run(time.Minute, 1, true)
	if w := l.p.Window(); w < 30_000 {
		t.Errorf("window of %d bytes at 100,000 bytes a second, want at least 30,000", w)
	}
}

// What others send makes each frame wait for four seconds: less of ours would not help, and something has to go.
func TestPaceWhereOthersFillTheLine(t *testing.T) {
	l := newLine(10_000, 50*time.Millisecond, time.Millisecond)
	l.run(20*time.Second, 1, true)
	l.rtt = 4 * time.Second
	l.run(5*time.Minute, 1, true)
	l.sent = 0
	l.run(time.Minute, 1, true)
	if least := 30_000; l.sent < least {
		t.Errorf("%d bytes in a minute, want at least %d; window %d", l.sent, least, l.p.Window())
	}
}

// Small messages now and then prove nothing.
func TestPaceOfAQuietLink(t *testing.T) {
	l := newLine(300, 50*time.Millisecond, time.Millisecond)
	for range 1000 {
		l.send(10, true)
		l.run(0, 1, true)
		l.now = l.now.Add(time.Second)
		l.arrive(true)
	}
	if w := l.p.Window(); w > 2*MinWindow {
		t.Errorf("the window has grown to %d bytes with nothing in it", w)
	}
}

// A message larger than the window goes all the same, and the next one waits for it.
func TestPaceOfALargeMessage(t *testing.T) {
	l := newLine(1000, 50*time.Millisecond, time.Millisecond)
	l.run(time.Millisecond, 100_000, true)
	l.now = l.now.Add(50 * time.Second)
	l.arrive(true)
	if l.p.Room() {
		t.Error("room behind a message of which half has arrived")
	}
	l.now = l.now.Add(51 * time.Second)
	l.arrive(true)
	if !l.p.Room() || l.p.Window() != MinWindow && l.p.Window() != 4*MinWindow {
		t.Errorf("room %v, window %d after it has arrived", l.p.Room(), l.p.Window())
	}
}

// Clocks drift apart while a line is full for hours: no more than a second or two is under way at the end.
func TestPaceWhereClocksDrift(t *testing.T) {
	for _, tick := range []float64{1 - 1e-4, 1, 1 + 1e-4} {
		l := newLine(4000, 500*time.Millisecond, time.Millisecond)
		l.tick = tick
		l.run(6*time.Hour, 1, true)
		l.sent, l.longest = 0, 0
		l.run(10*time.Minute, 1, true)
		if l.sent < 4000*600*9/10 || l.longest > 2200*time.Millisecond {
			t.Errorf("clock at %v: %d bytes, and a frame took %v; window %d", tick, l.sent, l.longest, l.p.Window())
		}
	}
}
