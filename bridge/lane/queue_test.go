package lane

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
	"mangrove/internal/overflow"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	st, err := store.Open(store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st
}

func commit(t testing.TB, st *store.Store, b *batch.Batch) {
	t.Helper()
	if err := st.CommitWait(b); err != nil {
		t.Fatal(err)
	}
}

// testConfig is that of a queue without bounds.
func testConfig(st *store.Store, num uint64) Config {
	var nowhere *metrics.Registry
	return Config{Store: st, Num: num, Now: time.Now, MaxMessages: math.MaxInt, MaxBytes: math.MaxInt, WhenFull: overflow.Rules{Default: overflow.Refuse},
		Changed: func() {}, Dropped: func(string, int) {}, Parked: nowhere.Counter("parked"), Early: nowhere.Counter("early"), Late: nowhere.Counter("late")}
}

// load makes a queue and reads what is on disk.
func load(t testing.TB, cfg Config) *Queue {
	t.Helper()
	q := NewQueue(cfg)
	if err := q.Load(); err != nil {
		t.Fatal(err)
	}
	return q
}

// fill adds numbered messages in one batch and commits it.
func (q *Queue) fill(t testing.TB, from, to int) {
	t.Helper()
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, nil)
	for i := from; i < to; i++ {
		q.Add(&mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: 1, ID: q.st.NextID()}, 1, frame.ItemMessage, r)
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

var plenty = Credit{Messages: math.MaxInt, Bytes: math.MaxInt}

// take reads up to max messages as a link would.
func (q *Queue) take(t testing.TB, owner any, c Credit, now ...time.Time) (found []Entry, payloads []string) {
	t.Helper()
	for {
		more, refill := q.Next(owner, nil, c, 1<<30, append(now, time.Now())[0])
		found = append(found, more...)
		if len(more) > 0 {
			continue
		}
		if !refill {
			break
		}
		if progress, err := q.Refill(owner); err != nil {
			t.Fatal(err)
		} else if !progress {
			break
		}
	}
	for _, e := range found {
		m := e.Msg
		if m == nil {
			body, err := q.st.Body(e.ID)
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
		q := load(t, testConfig(st, num))
		var owner *int
		next, acked, trimmed := 0, 0, 0
		var inFlight []Entry
		rt.Repeat(map[string]func(*rapid.T){
			"fill": func(rt *rapid.T) {
				n := rapid.SampledFrom([]int{1, 5, idleEntries, pageSize + 1}).Draw(rt, "n")
				q.fill(t, next, next+n)
				next += n
			},
			"link": func(rt *rapid.T) {
				owner, inFlight = new(int), nil
				q.Attach(owner)
			},
			"send": func(rt *rapid.T) {
				window := rapid.SampledFrom([]int{1, 10, 700}).Draw(rt, "window")
				found, got := q.take(t, owner, Credit{Messages: window, Bytes: math.MaxInt})
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
				q.Ack(owner, inFlight[n-1].Pos)
				inFlight = inFlight[n:]
				acked += n
			},
			"unlink": func(rt *rapid.T) {
				q.Detach(owner)
				owner, inFlight = nil, nil
			},
			"trim": func(rt *rapid.T) {
				q.Trim()
				settle(t, st)
				trimmed = acked
			},
			"crash": func(rt *rapid.T) {
				q = load(t, testConfig(st, num))
				owner, inFlight, acked = nil, nil, trimmed
			},
			"": func(rt *rapid.T) {
				if got, _ := q.Backlog(); got != next-acked {
					rt.Fatalf("got a backlog of %d, want %d", got, next-acked)
				}
			},
		})
	})
}

// A refused batch leaves no trace, and does not hold up what comes after it.
func TestQueueOfRefusedBatch(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := load(t, testConfig(st, 1))
	q.Attach(t)
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, nil)
	q.Add(&mqtt.Message{Topic: "t", Payload: []byte("lost"), QoS: 1, ID: st.NextID()}, 1, frame.ItemMessage, r)
	r.Close()
	q.fill(t, 0, 3)
	if found, _ := q.take(t, t, plenty); len(found) != 0 {
		t.Errorf("got %d messages past one whose batch is under way, want 0", len(found))
	}
	q.Committed(q.last-3, errors.New("disk full"))
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0 1 2]" {
		t.Errorf("got %v, want [0 1 2]", got)
	}
	if got, _ := q.Backlog(); got != 3 {
		t.Errorf("got a backlog of %d, want 3", got)
	}
}

// A record that cannot be read is dropped and counted, the others go on.
func TestQueueWithDamagedRecord(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := load(t, testConfig(st, 1))
	q.fill(t, 0, 3)
	writes := new(batch.Batch)
	writes.Put(batch.LinkQueues, q.key(q.last-1), []byte{1})
	commit(t, st, writes)
	drops, cfg := 0, testConfig(st, 1)
	cfg.Dropped = func(reason string, n int) { drops += n }
	q = load(t, cfg)
	q.Attach(t)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0 2]" || drops != 1 {
		t.Errorf("got %v and %d drops, want [0 2] and 1", got, drops)
	}
}
