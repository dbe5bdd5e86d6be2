package lane

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// counts are what a queue's Dropped was told.
type counts struct{ full, expired, parking, other atomic.Int64 }

func (c *counts) note(reason string, n int) {
	of := map[string]*atomic.Int64{DropQueueFull: &c.full, DropExpired: &c.expired, DropParkingFull: &c.parking}[reason]
	if of == nil {
		of = &c.other
	}
	of.Add(int64(n))
}

// bounded is a queue for so many messages.
func bounded(t testing.TB, messages int, policy overflow.Policy) (*Queue, *counts) {
	t.Helper()
	drops := new(counts)
	cfg := testConfig(openStore(t, t.TempDir()), 1)
	cfg.MaxMessages, cfg.WhenFull.Default, cfg.Dropped = messages, policy, drops.note
	return load(t, cfg), drops
}

// send queues one message and returns what its publisher is told.
func (q *Queue) send(t testing.TB, m mqtt.Message) error {
	t.Helper()
	writes, told := new(batch.Batch), make(chan error, 1)
	r := mqtt.NewReceipt(writes, func(err error) { told <- err })
	m.QoS, m.ID = 1, q.st.NextID()
	q.Add(&m, 1, frame.ItemMessage, r)
	r.Close()
	commit(t, q.st, writes)
	return <-told
}

// Whatever is on the way, in memory, and on disk only: what is there in the end is what is on the way and the newest, in order,
// and nothing is lost that is not counted. [promise P5] [promise P6]
func TestTheOldestGiveWay(t *testing.T) {
	st := openStore(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.SampledFrom([]int{1, 7, idleEntries, 3 * idleEntries}).Draw(rt, "bound")
		drops := new(counts)
		cfg := testConfig(st, st.NextID())
		cfg.MaxMessages, cfg.WhenFull.Default, cfg.Dropped = most, overflow.DropOldest, drops.note
		q := load(t, cfg)
		var owner *int
		next, acked, stuck := 0, 0, 0 // stuck: on the way when messages came last
		var inFlight []Entry
		var last string
		rt.Repeat(map[string]func(*rapid.T){
			"fill": func(rt *rapid.T) {
				n := rapid.SampledFrom([]int{1, 5, idleEntries, pageSize + 1}).Draw(rt, "n")
				q.fill(t, next, next+n)
				next, stuck = next+n, len(inFlight)
				q.atBound(t, stuck)
			},
			"link": func(rt *rapid.T) {
				owner, inFlight = new(int), nil
				q.Attach(owner)
				q.atBound(t, 0)
			},
			"unlink": func(rt *rapid.T) {
				q.Detach(owner)
				owner, inFlight = nil, nil
			},
			"send": func(rt *rapid.T) {
				found, _ := q.take(t, owner, Credit{Messages: rapid.SampledFrom([]int{1, 10, 700}).Draw(rt, "window"), Bytes: 1 << 30})
				inFlight = append(inFlight, found...)
			},
			"ack": func(rt *rapid.T) {
				if len(inFlight) == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(1, len(inFlight)).Draw(rt, "n")
				q.Ack(owner, inFlight[n-1].Pos)
				inFlight, acked = inFlight[n:], acked+n
			},
			"trim":  func(rt *rapid.T) { q.Trim() },
			"check": func(rt *rapid.T) {},
			"": func(rt *rapid.T) {
				if got, _ := q.Backlog(); got+acked+int(drops.full.Load()) != next || got > max(most, len(inFlight)) {
					rt.Fatalf("got a backlog of %d, %d acknowledged and %d dropped of %d, bound %d", got, acked, drops.full.Load(), next, most)
				}
			},
		})
		owner, last = new(int), ""
		q.Attach(owner)
		left, _ := q.Backlog()
		before := -1
		n := 0
		for {
			found, got := q.take(t, owner, plenty)
			if len(found) == 0 {
				break
			}
			for _, p := range got {
				var i int
				if _, err := fmt.Sscan(p, &i); err != nil || i <= before {
					rt.Fatalf("got %s after %d", p, before)
				}
				before, last = i, p
			}
			n += len(found)
			q.Ack(owner, found[len(found)-1].Pos)
		}
		if n != left || left > 0 && stuck < most && last != fmt.Sprint(next-1) {
			rt.Fatalf("got %d messages up to %s, want %d up to %d", n, last, left, next-1)
		}
	})
}

// What is on disk only goes from its front, whatever a neighbour that acknowledges nothing has on the way; its records go as well.
func TestTheOldestOnDiskGiveWay(t *testing.T) {
	q, drops := bounded(t, 1000, overflow.DropOldest)
	q.Attach(t)
	q.fill(t, 0, 10)
	settle(t, q.st)
	stuck, _ := q.take(t, t, plenty)
	for from := 10; from < memEntries+2000; from += 217 {
		q.fill(t, from, min(from+217, memEntries+2000))
	}
	q.atBound(t, len(stuck))
	if got := drops.full.Load(); got != memEntries+1000 {
		t.Errorf("got %d drops, want %d", got, memEntries+1000)
	}
	rows := 0
	if err := q.st.Scan(batch.LinkQueues, nil, nil, func(k, v []byte) bool { rows++; return true }); err != nil || rows != 1000 {
		t.Errorf("got %d records, %v, want 1000", rows, err)
	}
	q.Ack(t, stuck[9].Pos)
	if got := q.takeAll(t); len(got) != 990 || got[0] != fmt.Sprint(memEntries+1010) {
		t.Errorf("got %d messages from %s on", len(got), got[0])
	}
}

// What has expired goes before anything is dropped or refused, in memory and on disk. [MQTT-3.3.2-5]
func TestExpiredGiveWayFirst(t *testing.T) {
	for _, policy := range []overflow.Policy{overflow.DropOldest, overflow.Refuse, overflow.DropNew} {
		const most = 2 * idleEntries
		var later atomic.Int64
		drops, cfg := new(counts), testConfig(openStore(t, t.TempDir()), 1)
		cfg.MaxMessages, cfg.WhenFull.Default, cfg.Dropped = most, policy, drops.note
		cfg.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
		q := load(t, cfg)
		for i := range most {
			m := mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i)}
			if i%2 == 1 {
				m.Expires = time.Now().Add(time.Minute)
			}
			if err := q.send(t, m); err != nil {
				t.Fatal(err)
			}
		}
		later.Store(int64(time.Hour))
		for i := range most / 2 {
			if err := q.send(t, mqtt.Message{Topic: "t", Payload: fmt.Append(nil, most+i)}); err != nil {
				t.Fatalf("%s: %v while expired messages filled the queue", policy, err)
			}
			if i == 0 {
				q.atBound(t, 0)
			}
		}
		q.atBound(t, 0)
		if full, expired := drops.full.Load(), drops.expired.Load(); full != 0 || expired != most/2 {
			t.Errorf("%s: got %d dropped and %d expired, want 0 and %d", policy, full, expired, most/2)
		}
		q.Attach(t)
		if got := q.takeAll(t); len(got) != most || got[1] != "2" || got[most-1] != fmt.Sprint(most+most/2-1) {
			t.Errorf("%s: got %d messages", policy, len(got))
		}
	}
}

// Where a topic's publishers are refused, what is queued of it does not give way to other topics, and those go on.
func TestKeptTopicsDoNotGiveWay(t *testing.T) {
	const most = 2 * idleEntries
	cfg := testConfig(openStore(t, t.TempDir()), 1)
	cfg.MaxMessages = most
	cfg.WhenFull = overflow.Rules{Default: overflow.DropOldest, Rules: []overflow.Rule{{Filter: "alarm", Policy: overflow.Refuse}}}
	q := load(t, cfg)
	for i := range most - 1 {
		if err := q.send(t, mqtt.Message{Topic: "alarm", Payload: fmt.Append(nil, i)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		if err := q.send(t, mqtt.Message{Topic: "telemetry", Payload: fmt.Append(nil, "t", i)}); err != nil {
			t.Errorf("telemetry was refused: %v", err)
		}
	}
	q.atBound(t, 0)
	if err := q.send(t, mqtt.Message{Topic: "alarm"}); !errors.Is(err, mqtt.ErrQuota) {
		t.Errorf("an alarm above the bound: got %v, want to be refused", err)
	}
	q.Attach(t)
	if got := q.takeAll(t); len(got) != most || got[0] != "0" || got[most-1] != "t9" {
		t.Errorf("got %d messages, %s to %s", len(got), got[0], got[len(got)-1])
	}
}

// What a link brings for a queue that refuses is parked in it, up to twice its bound; then it is dropped. Nothing is refused, so
// the link goes on.
func TestParking(t *testing.T) {
	q, drops := bounded(t, 3, overflow.Refuse)
	from := mqtt.Source{Scope: mqtt.ScopeEdge, Name: "edge"}
	for i := range 8 {
		if err := q.send(t, mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), From: from}); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.send(t, mqtt.Message{Topic: "t", From: mqtt.Source{Scope: mqtt.ScopeClient}}); !errors.Is(err, mqtt.ErrQuota) {
		t.Errorf("a client: got %v, want to be refused", err)
	}
	full := q.Full()
	if full.Spell.Parked != 3 || full.Spell.Dropped != 2 || full.Refused != 1 || drops.parking.Load() != 2 {
		t.Errorf("got %+v and %d dropped at the bound of parking, want 3 parked, 2 dropped, 1 refused", full, drops.parking.Load())
	}
	q.Attach(t)
	if got := q.takeAll(t); fmt.Sprint(got) != "[0 1 2 3 4 5]" {
		t.Errorf("got %v, want the first six", got)
	}
	if q.Full().Spell.Full() {
		t.Error("an empty queue says that it is full")
	}
}

// A full uplink refuses only what nobody else took. [promise P4]
func TestFullQueueThatSpares(t *testing.T) {
	drops, cfg := new(counts), testConfig(openStore(t, t.TempDir()), 1)
	cfg.MaxMessages, cfg.Spares, cfg.Dropped = 1, true, drops.note
	q := load(t, cfg)
	for takers, want := range []error{nil, mqtt.ErrQuota, nil} {
		r := mqtt.NewReceipt(new(batch.Batch), nil)
		for range takers {
			r.Count()
		}
		if takers == 0 {
			q.fill(t, 0, 1)
			continue
		}
		q.Add(&mqtt.Message{Topic: "t", QoS: 1, ID: q.st.NextID()}, 1, frame.ItemMessage, r)
		if got := r.Err(); !errors.Is(got, want) {
			t.Errorf("%d takers, the queue one of them: got %v, want %v", takers, got, want)
		}
	}
	if got := drops.full.Load(); got != 1 {
		t.Errorf("got %d drops, want 1", got)
	}
}

// Control records never give way.
func TestControlRecordsDoNotGiveWay(t *testing.T) {
	q, _ := bounded(t, 5, overflow.DropOldest)
	b := new(batch.Batch)
	q.AppendControl([]byte("moved"), b)
	commit(t, q.st, b)
	q.fill(t, 0, 2*idleEntries)
	settle(t, q.st)
	q.atBound(t, 0)
	q.Attach(t)
	found, _ := q.Next(t, nil, plenty, 1<<20, time.Now())
	if len(found) == 0 || found[0].Kind != frame.ItemControl {
		t.Errorf("got %d entries, want the control record first", len(found))
	}
}

// BenchmarkFullQueue is one message for a neighbour that is away and whose queue is full.
func BenchmarkFullQueue(b *testing.B) {
	for _, bound := range []int{1 << 30, 10_000} {
		b.Run(fmt.Sprint("bound ", bound), func(b *testing.B) {
			q, _ := bounded(b, bound, overflow.DropOldest)
			q.fill(b, 0, 10_000)
			b.ResetTimer()
			for n := 0; n < b.N; n += 100 {
				q.fill(b, n, n+100)
			}
		})
	}
}
