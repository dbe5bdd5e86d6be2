package e2e

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ledger counts what publishers were promised and what subscribers got. Each publisher numbers its messages from 0.
type ledger struct {
	mu      sync.Mutex
	streams map[string]*stream            // by publisher
	takers  map[string]map[string]*taking // by subscriber and publisher
	strange []string                      // what nobody published
	resumed int                           // connections that found their session again
	lost    []string                      // subscribers that did not
}

// stream is what one publisher published.
type stream struct {
	topic     string
	qos       byte
	published int
	acked     int
	refused   map[int]bool // numbers refused with a reason code: they may or may not arrive
	unsent    map[int]bool // numbers that were never sent: the connection was over
}

// taking is what one subscriber got of one publisher.
type taking struct {
	times    []int // by number
	highest  int   // the highest number that came
	disorder int   // first deliveries after a higher number
}

func newLedger() *ledger {
	return &ledger{streams: make(map[string]*stream), takers: make(map[string]map[string]*taking)}
}

// open begins a publisher's stream.
func (l *ledger) open(publisher, topic string, qos byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams[publisher] = &stream{topic: topic, qos: qos, refused: make(map[int]bool), unsent: make(map[int]bool)}
}

// expect makes subscriber a taker of everything that publisher publishes.
func (l *ledger) expect(subscriber, publisher string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.takers[subscriber] == nil {
		l.takers[subscriber] = make(map[string]*taking)
	}
	l.takers[subscriber][publisher] = &taking{highest: -1}
}

// next is the number of the publisher's next message.
func (l *ledger) next(publisher string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.streams[publisher]
	s.published++
	return s.published - 1
}

// outcome of a message.
type outcome int

const (
	acknowledged outcome = iota
	refused
	unsent
)

func (l *ledger) settled(publisher string, n int, how outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch s := l.streams[publisher]; how {
	case acknowledged:
		s.acked++
	case refused:
		s.refused[n] = true
	case unsent:
		s.unsent[n] = true
	}
}

// took notes a message that came to subscriber.
func (l *ledger) took(t *testing.T, subscriber, payload string) {
	if strings.HasPrefix(payload, "probe") {
		return
	}
	publisher, n := splitNumbered(t, payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	k, s := l.takers[subscriber][publisher], l.streams[publisher]
	if k == nil || n >= s.published {
		l.strange = append(l.strange, subscriber+" got "+payload)
		return
	}
	for len(k.times) <= n {
		k.times = append(k.times, 0)
	}
	k.times[n]++
	if k.times[n] == 1 && n < k.highest {
		k.disorder++
	}
	k.highest = max(k.highest, n)
}

// session notes whether a subscriber that connects again found its session.
func (l *ledger) session(subscriber string, present bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if present {
		l.resumed++
	} else {
		l.lost = append(l.lost, subscriber)
	}
}

// tally is the sum of a ledger.
type tally struct {
	published, acked, refused  int
	wanted, received, missing  int    // deliveries: acknowledged messages times their subscribers
	repeated                   [3]int // by QoS
	disorder, resumed          int
	firstMissing, firstStrange string
	sessionsLost               []string
}

func (l *ledger) sum() (s tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, st := range l.streams {
		s.published += st.published - len(st.unsent)
		s.acked, s.refused = s.acked+st.acked, s.refused+len(st.refused)
	}
	for _, subscriber := range slices.Sorted(maps.Keys(l.takers)) {
		for publisher, k := range l.takers[subscriber] {
			s.add(subscriber, publisher, l.streams[publisher], k)
		}
	}
	s.resumed, s.sessionsLost = l.resumed, l.lost
	if len(l.strange) > 0 {
		s.firstStrange = l.strange[0]
	}
	return s
}

// add adds what one subscriber got of one publisher. Once publishing has settled, what was not refused was acknowledged.
func (s *tally) add(subscriber, publisher string, st *stream, k *taking) {
	s.disorder += k.disorder
	for n := range st.published {
		times := 0
		if n < len(k.times) {
			times = k.times[n]
		}
		if times > 1 {
			s.repeated[st.qos] += times - 1
		}
		if st.refused[n] || st.unsent[n] {
			continue
		}
		s.wanted++
		if times > 0 {
			s.received++
			continue
		}
		if s.missing++; s.firstMissing == "" {
			s.firstMissing = fmt.Sprintf("%s did not get %s (QoS %d)", subscriber, numbered(publisher, n), st.qos)
		}
	}
}

func (s tally) String() string {
	return fmt.Sprintf("%d published, %d acknowledged, %d refused; %d of %d deliveries made, %d lost; repeated: QoS 1 %d, QoS 2 %d; %d out of order; %d sessions resumed",
		s.published, s.acked, s.refused, s.received, s.wanted, s.missing, s.repeated[1], s.repeated[2], s.disorder, s.resumed)
}

// disorder counts the first deliveries of a publisher's messages that came after later ones, at all subscribers.
func (l *ledger) disorder(publisher string) (sum int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, streams := range l.takers {
		if k := streams[publisher]; k != nil {
			sum += k.disorder
		}
	}
	return sum
}

// complete tells whether all that was published is acknowledged and has arrived.
func (l *ledger) complete() bool {
	s := l.sum()
	return s.acked+s.refused == s.published && s.missing == 0
}

// check fails the test for everything that no fault excuses, and for disorder: there is one path.
func (s tally) check(t *testing.T) {
	t.Helper()
	s.checkArrived(t)
	if s.disorder > 0 {
		t.Errorf("got %d first deliveries out of order, want 0", s.disorder)
	}
}

// checkOnce is check for what no client's broken connection excuses: no repeats at QoS 1 either, no lost connections.
func (s tally) checkOnce(t *testing.T) {
	t.Helper()
	s.checkArrived(t)
	if s.repeated[1] > 0 || s.resumed > 0 {
		t.Errorf("got %d QoS 1 messages twice and %d connections lost, want 0: no client was touched", s.repeated[1], s.resumed)
	}
}

// checkArrived fails the test for everything that no fault excuses. Order, and repeats of QoS 1, are for the caller to judge.
func (s tally) checkArrived(t *testing.T) {
	t.Helper()
	if s.published < 50 {
		t.Errorf("got %d messages published, want a load", s.published)
	}
	if s.missing > 0 {
		t.Errorf("got %d acknowledged messages lost, want 0; %s", s.missing, s.firstMissing)
	}
	if s.refused > 0 {
		t.Errorf("got %d messages refused, want 0: no bound was reached", s.refused)
	}
	if s.repeated[2] > 0 {
		t.Errorf("got %d QoS 2 messages twice, want 0", s.repeated[2])
	}
	if s.firstStrange != "" {
		t.Errorf("got a message that nobody published: %s", s.firstStrange)
	}
	if len(s.sessionsLost) > 0 {
		t.Errorf("got no session on reconnect: %v", s.sessionsLost)
	}
}

// The count must be able to fail.
func TestLedgerSeesWhatIsWrong(t *testing.T) {
	l := newLedger()
	for qos, publisher := range []string{"zero", "one", "two"} {
		l.open(publisher, "t", byte(qos))
		l.expect("sub", publisher)
		for n := range 5 {
			l.next(publisher)
			how := acknowledged
			if n == 4 {
				how = refused
			}
			l.settled(publisher, n, how)
		}
	}
	for _, payload := range []string{"one-0", "one-2", "one-1", "one-2", "one-3", "two-0", "two-0", "two-3", "two-9", "zero-0", "zero-1", "zero-2", "zero-3"} {
		l.took(t, "sub", payload)
	}
	got := l.sum()
	want := tally{published: 15, acked: 12, refused: 3, wanted: 12, received: 10, missing: 2, repeated: [3]int{0, 1, 1}, disorder: 1,
		firstMissing: "sub did not get two-1 (QoS 2)", firstStrange: "sub got two-9"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if l.complete() || l.disorder("one") != 1 || l.disorder("two") != 0 {
		t.Errorf("got complete %t, disorder %d and %d, want false, 1, 0", l.complete(), l.disorder("one"), l.disorder("two"))
	}
}
