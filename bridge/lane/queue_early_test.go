package lane

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/internal/wal/waltest"
	"mangrove/mqtt"
)

// publishers counts what was told to whom: the outcome of each numbered message.
type publishers struct {
	mu   sync.Mutex
	told map[int]error
}

func (p *publishers) of(i int) (err error, told bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	err, told = p.told[i]
	return err, told
}

// publish adds message i as a connection does, in a step of its own.
func (p *publishers) publish(q *Queue, i int, qos byte) {
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told[i] = err
	})
	r.PublisherRepeats()
	m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: qos, ID: q.st.NextID(), From: mqtt.Source{Scope: mqtt.ScopeClient}}
	q.Add(m, qos, frame.ItemMessage, r)
	r.Close()
	q.st.Commit(writes)
}

// testClock goes on when the test says so. It begins now: timers of the queue are real, and an hour does not pass.
type testClock struct{ now time.Time }

func (c *testClock) goOn(d time.Duration) { c.now = c.now.Add(d) }

// newEarlyQueue is one that waits an hour for acknowledgements, on c.
func newEarlyQueue(t testing.TB, st *store.Store, num uint64, c *testClock) *Queue {
	t.Helper()
	cfg := testConfig(st, num)
	cfg.Now, cfg.Patience = func() time.Time { return c.now }, time.Hour
	return load(t, cfg)
}

// Whatever is sent early, acknowledged, late, lost with the link or with the process: nothing that was acknowledged to a publisher is
// missing, neither at the neighbour nor on disk, and the order is kept. [promise P1] [promise P3]
func TestEarlyQueueAgainstModel(t *testing.T) {
	st := openStore(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		num, clock := st.NextID(), &testClock{time.Now()}
		q := newEarlyQueue(t, st, num, clock)
		unwritten := func() (n int) { return len(q.early.promises) - q.early.written }
		var owner *int
		next := 0
		pub := &publishers{told: map[int]error{}}
		owed := map[int]bool{} // not acknowledged by the neighbour, and not lost with its publisher's connection
		var inFlight []Entry
		var sent []int
		numbers := func(payloads []string) (all []int) {
			for _, p := range payloads {
				i, err := strconv.Atoi(p)
				if err != nil {
					rt.Fatal(err)
				}
				all = append(all, i)
			}
			return all
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				for range rapid.SampledFrom([]int{1, 3, idleEntries}).Draw(rt, "n") {
					pub.publish(q, next, rapid.SampledFrom([]byte{1, 1, 1, 2}).Draw(rt, "qos"))
					owed[next] = true
					next++
				}
				settle(t, st)
			},
			"link": func(*rapid.T) {
				owner, inFlight, sent = new(int), nil, nil
				q.Attach(owner)
				q.AllowEarly(owner)
				settle(t, st)
			},
			"send": func(rt *rapid.T) {
				found, payloads := q.take(t, owner, Credit{Messages: rapid.SampledFrom([]int{1, 10, 700}).Draw(rt, "window"), Bytes: 1 << 30})
				inFlight, sent = append(inFlight, found...), append(sent, numbers(payloads)...)
				if want := slices.Sorted(maps.Keys(owed))[:len(sent)]; !slices.Equal(sent, want) {
					rt.Fatalf("got %v on the way, want %v", sent, want)
				}
			},
			"ack": func(rt *rapid.T) {
				if len(inFlight) == 0 {
					rt.Skip()
				}
				n := rapid.IntRange(1, len(inFlight)).Draw(rt, "n")
				q.Ack(owner, inFlight[n-1].Pos)
				for _, i := range sent[:n] {
					if err, told := pub.of(i); !told || err != nil {
						rt.Fatalf("message %d is acknowledged by the neighbour; got %t, %v for its publisher", i, told, err)
					}
					delete(owed, i)
				}
				inFlight, sent = inFlight[n:], sent[n:]
			},
			"time passes": func(rt *rapid.T) {
				clock.goOn(rapid.SampledFrom([]time.Duration{earlyRest, 59 * time.Minute, time.Hour}).Draw(rt, "time"))
				due := unwritten() > 0 && clock.now.Sub(q.early.promises[q.early.written].since) >= time.Hour
				q.overdue()
				if got := unwritten() == 0; due && !got {
					rt.Fatalf("got %d messages unwritten after their patience, want none", unwritten())
				}
				settle(t, st)
			},
			"unlink": func(rt *rapid.T) {
				q.Detach(owner)
				owner, inFlight, sent = nil, nil, nil
				settle(t, st)
				for i := range owed {
					if err, told := pub.of(i); !told || err != nil {
						rt.Fatalf("nobody will acknowledge message %d; got %t, %v for its publisher", i, told, err)
					}
				}
			},
			"crash": func(rt *rapid.T) {
				q.Trim()
				settle(t, st)
				for i := range owed {
					if _, told := pub.of(i); !told {
						delete(owed, i)
					}
				}
				q = newEarlyQueue(t, st, num, clock)
				owner, inFlight, sent = nil, nil, nil
			},
			"": func(rt *rapid.T) {
				if got, _ := q.Backlog(); got != len(owed) {
					rt.Fatalf("got a backlog of %d, want %d", got, len(owed))
				}
			},
		})
	})
}

// A batch that is refused after all refuses its publisher, unless the neighbour was first.
func TestEarlyMessageWithFullDisk(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := newEarlyQueue(t, st, 1, &testClock{time.Now()})
	q.Attach(t)
	q.AllowEarly(t)
	pub := &publishers{told: map[int]error{}}
	full := errors.New("disk full")
	for i := range 3 {
		pub.publish(q, i, 1)
	}
	found, _ := q.take(t, t, plenty)
	q.mu.Lock()
	q.writeEarlyLocked() // and the store does not take it
	q.mu.Unlock()
	q.Ack(t, found[0].Pos)
	for _, e := range found {
		q.Committed(e.Pos, full)
	}
	for i, want := range []error{nil, full, full} {
		if err, told := pub.of(i); !told || !errors.Is(err, want) {
			t.Errorf("message %d: got %t, %v, want %v", i, told, err, want)
		}
	}
	pub.publish(q, 3, 1)
	if _, got := q.take(t, t, Credit{Messages: 3, Bytes: 1}); fmt.Sprint(got) != "[3]" {
		t.Errorf("got %v past the refused ones, want [3]", got)
	}
}

// What a lost link leaves unwritten is sent again when it is on disk, not before: nobody holds it in memory any more.
func TestEarlyMessageOfALostLink(t *testing.T) {
	disk := sim.NewDisk()
	st, err := store.Open(store.Config{Dir: t.TempDir(), Faults: &store.Faults{Log: waltest.Files{Disk: disk}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	q := newEarlyQueue(t, st, 1, &testClock{time.Now()})
	q.Attach(t)
	q.AllowEarly(t)
	pub := &publishers{told: map[int]error{}}
	pub.publish(q, 0, 1)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0]" {
		t.Errorf("got %v, want [0]", got)
	}
	release := disk.Hold()
	defer release()
	q.Detach(t)
	q.Attach(t)
	if found, _ := q.Next(t, nil, plenty, 1<<30, time.Now()); len(found) != 0 {
		t.Errorf("got %d messages that are not on disk yet, want none", len(found))
	}
	release()
	settle(t, st)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0]" {
		t.Errorf("got %v, want [0]", got)
	}
}
