package firmwaresim

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// book is a ledger with one device and short words.
type book struct {
	*Ledger
	device int
}

func newBook() *book {
	l := newLedger()
	return &book{l, l.register("d-1", "door")}
}

func (b *book) sent(qos byte, seqs ...uint64) {
	for _, n := range seqs {
		b.published(b.device, Telemetry, qos, n)
	}
}

func (b *book) acked(qos byte, seqs ...uint64) {
	for _, n := range seqs {
		b.acknowledged(b.device, Telemetry, qos, n, true)
	}
}

func (b *book) got(qos byte, seqs ...uint64) {
	for _, n := range seqs {
		b.received(Telemetry, &Header{Device: "d-1", Seq: n, QoS: qos, Time: epoch}, epoch.Add(5*time.Millisecond))
	}
}

func (b *book) check(t *testing.T, want Tally) {
	t.Helper()
	got := b.tallies()["door"]
	got.Latency = Latency{}
	want.Devices = 1
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestLedgerAllArrived(t *testing.T) {
	b := newBook()
	b.sent(1, 1, 2, 3)
	b.acked(1, 1, 2, 3)
	b.got(1, 1, 2, 3)
	b.check(t, Tally{Published: 3, Acknowledged: 3, Received: 3})
	if l := b.tallies()["door"].Latency; l.P50 < 5 || l.P50 > 5.3 || l.Max != 5 {
		t.Errorf("got latency %+v, want 5 ms", l)
	}
}

func TestLedgerFindsLoss(t *testing.T) {
	b := newBook()
	b.sent(1, 1, 2, 3, 4)
	b.acked(1, 1, 2, 3)
	b.got(1, 1, 3)
	b.check(t, Tally{Published: 4, Acknowledged: 3, Received: 2, Lost: 1, Unacknowledged: 1})
	tally := b.tallies()["door"]
	if tally.settled() {
		t.Error("got settled with a message missing")
	}
}

func TestLedgerFindsDuplicatesAndTellsQoS2Apart(t *testing.T) {
	b := newBook()
	b.sent(1, 1, 2)
	b.acked(1, 1, 2)
	b.got(1, 1, 2, 1, 2)
	b.sent(2, 1)
	b.acked(2, 1)
	b.got(2, 1, 1)
	b.check(t, Tally{Published: 3, Acknowledged: 3, Received: 3, Duplicated: 3, DuplicatedQoS2: 1})
}

func TestLedgerFindsDisorderOfFirstDeliveriesOnly(t *testing.T) {
	b := newBook()
	b.sent(1, 1, 2, 3, 4)
	b.acked(1, 1, 2, 3, 4)
	b.got(1, 1, 3, 2, 1, 4) // 2 came late; the repeat of 1 is a duplicate, not disorder
	b.check(t, Tally{Published: 4, Acknowledged: 4, Received: 4, Duplicated: 1, OutOfOrder: 1})
}

func TestLedgerCountsQoS0Apart(t *testing.T) {
	b := newBook()
	b.sent(0, 1, 2, 3)
	b.got(0, 1, 3)
	b.check(t, Tally{Published: 3, Received: 2, LostQoS0: 1})
}

func TestLedgerCountsRefusedApart(t *testing.T) {
	b := newBook()
	b.sent(1, 1, 2)
	b.acked(1, 1)
	b.acknowledged(b.device, Telemetry, 1, 2, false)
	b.got(1, 1)
	b.check(t, Tally{Published: 2, Acknowledged: 1, Received: 1, Refused: 1})
}

func TestLedgerCountsStrays(t *testing.T) {
	b := newBook()
	b.got(1, 1) // never published
	b.received(Telemetry, &Header{Device: "stranger", Seq: 1}, epoch)
	b.received(Telemetry, &Header{Device: "d-1", Seq: 1, QoS: 3}, epoch)
	b.check(t, Tally{})
	if n := b.strays(); n != 3 {
		t.Errorf("got %d strays, want 3", n)
	}
}

func TestLedgerKeepsCommandsInTheirRow(t *testing.T) {
	b := newBook()
	b.published(b.device, Command, 1, 1)
	b.acknowledged(b.device, Command, 1, 1, true)
	b.check(t, Tally{})
	if c := b.tallies()[commandsRow]; c.Published != 1 || c.Lost != 1 {
		t.Errorf("got commands %+v, want one published and lost", c)
	}
}

// A set of ranges behaves as a map does.
func TestSpansAgainstAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for round := range 200 {
		var s, o spans
		in, other := map[uint64]bool{}, map[uint64]bool{}
		for range 100 {
			n := rng.Uint64N(80) + 1
			if got := s.add(n); got == in[n] {
				t.Fatalf("round %d: add %d got %v, want %v", round, n, got, !in[n])
			}
			in[n] = true
			m := rng.Uint64N(80) + 1
			o.add(m)
			other[m] = true
		}
		want := uint64(0)
		for n := range in {
			if !other[n] {
				want++
			}
		}
		if got := s.without(&o); got != want || s.count != uint64(len(in)) {
			t.Fatalf("round %d: got %d without, %d in all; want %d, %d", round, got, s.count, want, len(in))
		}
		for i := 1; i < len(s.ranges); i++ {
			if s.ranges[i].lo <= s.ranges[i-1].hi+1 {
				t.Fatalf("round %d: ranges touch: %v", round, s.ranges)
			}
		}
	}
}

func TestSpansWriteTheOldestGapOff(t *testing.T) {
	var s spans
	for n := range uint64(maxSpans + 10) {
		s.add(3*n + 1)
	}
	if len(s.ranges) != maxSpans || s.writtenOff != 20 {
		t.Errorf("got %d ranges, %d written off; want %d, 20", len(s.ranges), s.writtenOff, maxSpans)
	}
}

func TestLatencyBuckets(t *testing.T) {
	for v := uint64(0); v < 1<<20; v += 1 + v/7 {
		i := bucket(v)
		if lowest(i) > v || lowest(i+1) <= v {
			t.Fatalf("got bucket %d [%d, %d) for %d", i, lowest(i), lowest(i+1), v)
		}
	}
	var l latencies
	for ms := range 1000 {
		l.add(time.Duration(ms) * time.Millisecond)
	}
	got := l.summary()
	if got.P50 < 485 || got.P50 > 515 || got.P99 < 960 || got.P99 > 999 || got.Max != 999 {
		t.Errorf("got %+v, want about 500, 990, 999", got)
	}
}

func TestReportSaysWhatIsLost(t *testing.T) {
	r := Report{Models: []Row{{"door", Tally{Devices: 3, Published: 1234, Acknowledged: 1234, Received: 1233, Lost: 1}}}}
	r.Total.add(r.Models[0].Tally)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,234", "LOST: 1 ", "not settled"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("got no %q in\n%s", want, text.String())
		}
	}
	if r.OK() {
		t.Error("got OK with a message lost")
	}
	out, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(out), `"lost":1`) || !strings.Contains(string(out), `"p99_ms"`) {
		t.Errorf("got JSON %s, %v", out, err)
	}
}
