package bridge

import (
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// scriptedLine is a carrier on which moves what the test says.
type scriptedLine struct {
	mu sync.Mutex
	m  transport.Moved
}

func (s *scriptedLine) Frame(string, []byte) error { return nil }
func (s *scriptedLine) Close(packet.ReasonCode)    {}

func (s *scriptedLine) Moved() (transport.Moved, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m, true
}

func (s *scriptedLine) move(acked, received, unacked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m.Acked, s.m.Received, s.m.Unacked = s.m.Acked+uint64(acked), s.m.Received+uint64(received), unacked
}

// Who is asked for a sign of life over a thin line gets the time that the line needs, and not more: a twin is neither invented
// nor missed.
func TestAskedOverAThinLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		minute func(s *scriptedLine) // what moves in the minute after the question
		alive  bool
		within time.Duration
	}{
		{"nothing moves", func(*scriptedLine) {}, false, 12 * time.Second},
		{"the kernel acknowledges the question alone", func(s *scriptedLine) { s.move(20, 0, 0) }, false, 12 * time.Second},
		{"an answer comes piece by piece", func(s *scriptedLine) { <-time.After(9 * time.Second); s.move(0, 1, 0) }, true, 12 * time.Second},
		{"the question stands behind much", func(s *scriptedLine) {
			for left := 3000; left > 0; left -= 300 {
				s.move(300, 0, left)
				<-time.After(4 * time.Second)
			}
			s.move(0, 30, 0)
		}, true, time.Minute},
		{"the line dies while it stands behind much", func(s *scriptedLine) {
			for range 5 {
				s.move(300, 0, 3000)
				<-time.After(4 * time.Second)
			}
		}, false, 32 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &Bridge{cfg: Config{Handshake: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}}
				s := new(scriptedLine)
				if c.alive || c.within > 20*time.Second {
					s.move(0, 0, 3000)
				}
				l := b.newLink("", "", false)
				l.carrier = s
				began, alive := time.Now(), false
				l.ask(func() { alive = true })
				go c.minute(s)
				var took time.Duration
				for took < time.Minute && !alive && !l.isLeaving() {
					<-time.After(time.Second / 8)
					synctest.Wait()
					took = time.Since(began)
				}
				if alive != c.alive || l.isLeaving() == c.alive || took > c.within {
					t.Errorf("got alive %v, over %v after %v; want alive %v within %v", alive, l.isLeaving(), took, c.alive, c.within)
				}
				<-time.After(time.Minute) // c.minute and the link's closer end
			})
		})
	}
}
