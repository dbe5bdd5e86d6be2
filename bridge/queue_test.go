package bridge

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

func newQueue(st *store.Store, num uint64) *queue {
	var nowhere *metrics.Registry
	return &queue{st: st, num: num, changed: func() {}, dropped: func(string, int) {},
		limits: queueLimits{messages: math.MaxInt, bytes: math.MaxInt, whenFull: Refuse},
		early:  early{sent: nowhere.Counter("sent"), late: nowhere.Counter("late")}}
}

// put adds numbered messages in one batch and commits it.
func (q *queue) fill(t testing.TB, from, to int) {
	t.Helper()
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, nil)
	for i := from; i < to; i++ {
		q.add(&mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1, ID: q.st.NextID()}, 1, frame.ItemMessage, r)
	}
	r.Close()
	commit(t, q.st, writes)
}

// settle returns when all that was committed is stable, and told.
func settle(t testing.TB, st *store.Store) {
	t.Helper()
	b := new(batch.Batch)
	b.Delete(batch.LinkQueues, []byte("nothing"))
	commit(t, st, b)
}

var plenty = credit{messages: math.MaxInt, bytes: math.MaxInt}

// take reads up to max messages as a link would.
func (q *queue) take(t testing.TB, owner any, c credit) (found []entry, payloads []string) {
	t.Helper()
	for {
		more, refill := q.next(owner, nil, c, 1<<30, time.Now())
		found = append(found, more...)
		if len(more) > 0 {
			continue
		}
		if !refill {
			break
		}
		if progress, err := q.refill(owner); err != nil {
			t.Fatal(err)
		} else if !progress {
			break
		}
	}
	for _, e := range found {
		m := e.msg
		if m == nil {
			body, err := q.st.Body(e.id)
			if err != nil {
				t.Fatal(err)
			}
			if m, _, err = mqtt.DecodeMessage(body); err != nil {
				t.Fatal(err)
			}
		}
		payloads = append(payloads, string(m.Payload))
	}
	return found, payloads
}

// Any order of filling, sending, acknowledging, losing the link and reopening gives each message in order, and
// after an acknowledgement never again in this process.
func TestQueueAgainstModel(t *testing.T) {
	st := openStore(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		num := st.NextID()
		q := newQueue(st, num)
		if err := q.load(); err != nil {
			rt.Fatal(err)
		}
		var owner *int
		next, acked, trimmed := 0, 0, 0
		var inFlight []entry
		rt.Repeat(map[string]func(*rapid.T){
			"fill": func(rt *rapid.T) {
				n := rapid.SampledFrom([]int{1, 5, idleEntries, pageSize + 1}).Draw(rt, "n")
				q.fill(t, next, next+n)
				next += n
			},
			"link": func(rt *rapid.T) {
				owner, inFlight = new(int), nil
				q.attach(owner)
			},
			"send": func(rt *rapid.T) {
				window := rapid.SampledFrom([]int{1, 10, 700}).Draw(rt, "window")
				found, got := q.take(t, owner, credit{messages: window, bytes: math.MaxInt})
				for i, p := range got {
					if want := fmt.Sprint(acked + len(inFlight) + i); p != want {
						rt.Fatalf("got message %s, want %s", p, want)
					}
				}
				inFlight = append(inFlight, found...)
				if owner != nil && len(inFlight) < min(window, next-acked) {
					rt.Fatalf("%d on the way of %d, want %d", len(inFlight), next-acked, min(window, next-acked))
				}
			},
			"ack": func(rt *rapid.T) {
				if len(inFlight) == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(1, len(inFlight)).Draw(rt, "n")
				q.ack(owner, inFlight[n-1].pos)
				inFlight = inFlight[n:]
				acked += n
			},
			"unlink": func(rt *rapid.T) {
				q.detach(owner)
				owner, inFlight = nil, nil
			},
			"trim": func(rt *rapid.T) {
				q.trim()
				settle(t, st)
				trimmed = acked
			},
			"crash": func(rt *rapid.T) {
				q = newQueue(st, num)
				if err := q.load(); err != nil {
					rt.Fatal(err)
				}
				owner, inFlight, acked = nil, nil, trimmed
			},
			"": func(rt *rapid.T) {
				if got, _ := q.backlog(); got != next-acked {
					rt.Fatalf("got a backlog of %d, want %d", got, next-acked)
				}
			},
		})
	})
}

// A refused batch leaves no trace, and does not hold up what comes after it.
func TestQueueOfRefusedBatch(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := newQueue(st, 1)
	if err := q.load(); err != nil {
		t.Fatal(err)
	}
	q.attach(t)
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, nil)
	q.add(&mqtt.Message{Topic: "t", Payload: []byte("lost"), QoS: 1, ID: st.NextID()}, 1, frame.ItemMessage, r)
	r.Close()
	q.fill(t, 0, 3)
	if found, _ := q.take(t, t, plenty); len(found) != 0 {
		t.Errorf("got %d messages past one whose batch is under way, want 0", len(found))
	}
	q.Committed(q.last-3, errors.New("disk full"))
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("got %v, want [0 1 2]", got)
	}
	if got, _ := q.backlog(); got != 3 {
		t.Errorf("got a backlog of %d, want 3", got)
	}
}

// A record that cannot be read is dropped and counted, the others go on.
func TestQueueWithDamagedRecord(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := newQueue(st, 1)
	if err := q.load(); err != nil {
		t.Fatal(err)
	}
	q.fill(t, 0, 3)
	writes := new(batch.Batch)
	writes.Put(batch.LinkQueues, q.key(q.last-1), []byte{1})
	commit(t, st, writes)
	q = newQueue(st, 1)
	drops := 0
	q.dropped = func(reason string, n int) { drops += n }
	if err := q.load(); err != nil {
		t.Fatal(err)
	}
	q.attach(t)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0 2]" || drops != 1 {
		t.Errorf("got %v and %d drops, want [0 2] and 1", got, drops)
	}
}

func TestRingDropsOldest(t *testing.T) {
	drops := map[string]int{}
	r := &ring{maxMessages: 5, maxBytes: 1 << 20, dropped: func(reason string, n int) { drops[reason] += n }}
	message := func(i int) *mqtt.Message { return &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i)} }
	r.add(message(0))
	r.setOpen(true)
	for i := 1; i <= 7; i++ {
		r.add(message(i))
	}
	found, first := r.take(nil, 1<<20)
	var got []string
	for _, m := range found {
		got = append(got, string(m.Payload))
	}
	if fmt.Sprint(got) != "[3 4 5 6 7]" || first != 1 {
		t.Errorf("got %v from position %d, want [3 4 5 6 7] from 1", got, first)
	}
	r.add(message(8))
	r.setOpen(false)
	if drops[dropLinkDown] != 2 || drops[dropVolatileFull] != 2 {
		t.Errorf("got drops %v, want 2 of each", drops)
	}
}
