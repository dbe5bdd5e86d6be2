package bridge

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
	"mangrove/internal/wal"
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
func (p *publishers) publish(q *queue, i int, qos byte) {
	writes := new(batch.Batch)
	r := mqtt.NewReceipt(writes, func(err error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told[i] = err
	})
	r.PublisherRepeats()
	m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, i), QoS: qos, ID: q.st.NextID(), From: mqtt.Source{Scope: mqtt.ScopeClient}}
	q.add(m, qos, frame.ItemMessage, r)
	r.Close()
	q.st.Commit(writes)
}

// newEarlyQueue is one that waits for acknowledgements until the test calls it late.
func newEarlyQueue(t testing.TB, st *store.Store, num uint64) *queue {
	t.Helper()
	q := newQueue(st, num)
	q.early.patience = time.Hour
	if err := q.load(); err != nil {
		t.Fatal(err)
	}
	return q
}

// late makes the patience with all that is unwritten end.
func (q *queue) late() {
	q.mu.Lock()
	for i := range q.early.promises {
		q.early.promises[i].since = time.Time{}
	}
	q.mu.Unlock()
	q.overdue()
	q.mu.Lock()
	q.early.rest = time.Time{}
	q.mu.Unlock()
}

// Whatever is sent early, acknowledged, late, lost with the link or with the process: nothing that was acknowledged to a publisher is
// missing, neither at the neighbour nor on disk, and the order is kept. [promise P1] [promise P3]
func TestEarlyQueueAgainstModel(t *testing.T) {
	st := openStore(t, t.TempDir())
	rapid.Check(t, func(rt *rapid.T) {
		num := st.NextID()
		q := newEarlyQueue(t, st, num)
		var owner *int
		next := 0
		pub := &publishers{told: map[int]error{}}
		owed := map[int]bool{} // not acknowledged by the neighbour, and not lost with its publisher's connection
		var inFlight []entry
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
				q.attach(owner)
				q.hurry(owner)
				settle(t, st)
			},
			"send": func(rt *rapid.T) {
				found, payloads := q.take(t, owner, credit{messages: rapid.SampledFrom([]int{1, 10, 700}).Draw(rt, "window"), bytes: 1 << 30})
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
				q.ack(owner, inFlight[n-1].pos)
				for _, i := range sent[:n] {
					if err, told := pub.of(i); !told || err != nil {
						rt.Fatalf("message %d is acknowledged by the neighbour; got %t, %v for its publisher", i, told, err)
					}
					delete(owed, i)
				}
				inFlight, sent = inFlight[n:], sent[n:]
			},
			"late": func(rt *rapid.T) { q.late(); settle(t, st) },
			"unlink": func(rt *rapid.T) {
				q.detach(owner)
				owner, inFlight, sent = nil, nil, nil
				settle(t, st)
				for i := range owed {
					if err, told := pub.of(i); !told || err != nil {
						rt.Fatalf("nobody will acknowledge message %d; got %t, %v for its publisher", i, told, err)
					}
				}
			},
			"crash": func(rt *rapid.T) {
				q.trim()
				settle(t, st)
				for i := range owed {
					if _, told := pub.of(i); !told {
						delete(owed, i)
					}
				}
				q = newEarlyQueue(t, st, num)
				owner, inFlight, sent = nil, nil, nil
			},
			"": func(rt *rapid.T) {
				if got, _ := q.backlog(); got != len(owed) {
					rt.Fatalf("got a backlog of %d, want %d", got, len(owed))
				}
			},
		})
	})
}

// A batch that is refused after all refuses its publisher, unless the neighbour was first.
func TestEarlyMessageWithFullDisk(t *testing.T) {
	st := openStore(t, t.TempDir())
	q := newEarlyQueue(t, st, 1)
	q.attach(t)
	q.hurry(t)
	pub := &publishers{told: map[int]error{}}
	full := errors.New("disk full")
	for i := range 3 {
		pub.publish(q, i, 1)
	}
	found, _ := q.take(t, t, plenty)
	q.mu.Lock()
	q.writeEarlyLocked() // and the store does not take it
	q.mu.Unlock()
	q.ack(t, found[0].pos)
	for _, e := range found {
		q.Committed(e.pos, full)
	}
	for i, want := range []error{nil, full, full} {
		if err, told := pub.of(i); !told || !errors.Is(err, want) {
			t.Errorf("message %d: got %t, %v, want %v", i, told, err, want)
		}
	}
	pub.publish(q, 3, 1)
	if _, got := q.take(t, t, credit{messages: 3, bytes: 1}); fmt.Sprint(got) != "[3]" {
		t.Errorf("got %v past the refused ones, want [3]", got)
	}
}

// stuckFiles is a disk whose syncs take until the test lets go.
type stuckFiles struct {
	*sim.Disk
	gate *sync.RWMutex
}

type stuckFile struct {
	wal.File
	gate *sync.RWMutex
}

func (f stuckFiles) Open(name string, create bool) (wal.File, error) {
	file, err := f.Disk.Open(name, create)
	if err != nil {
		return nil, err
	}
	return stuckFile{file, f.gate}, nil
}

func (f stuckFile) Sync() error {
	f.gate.RLock()
	defer f.gate.RUnlock()
	return f.File.Sync()
}

// What a lost link leaves unwritten is sent again when it is on disk, not before: nobody holds it in memory any more.
func TestEarlyMessageOfALostLink(t *testing.T) {
	gate := new(sync.RWMutex)
	st, err := store.Open(store.Config{Dir: t.TempDir(), Faults: &store.Faults{Log: stuckFiles{sim.NewDisk(), gate}}})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	q := newEarlyQueue(t, st, 1)
	q.attach(t)
	q.hurry(t)
	pub := &publishers{told: map[int]error{}}
	pub.publish(q, 0, 1)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0]" {
		t.Errorf("got %v, want [0]", got)
	}
	gate.Lock()
	q.detach(t)
	q.attach(t)
	if found, _ := q.next(t, nil, plenty, 1<<30, time.Now()); len(found) != 0 {
		t.Errorf("got %d messages that are not on disk yet, want none", len(found))
	}
	gate.Unlock()
	settle(t, st)
	if _, got := q.take(t, t, plenty); fmt.Sprint(got) != "[0]" {
		t.Errorf("got %v, want [0]", got)
	}
}

// The core's acknowledgement spares the edge the write, and its publisher the wait for a slow disk; what the core does not
// acknowledge in time is written.
func TestAcknowledgedByTheCoreBeforeItIsWritten(t *testing.T) {
	gate := new(sync.RWMutex)
	disk := sim.NewDisk()
	x := newCore(t, "x")
	h := &holder{testClient: testClient{id: "holder"}}
	x.router.Subscribe(h, mqtt.Subscription{Filter: "held", QoS: 1})
	x.subscribe("all", "t", 1)
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.EarlyPatience = time.Hour })
	a.storage = func(c *store.Config) { c.Faults = &store.Faults{Log: stuckFiles{disk, gate}} }
	a.dir = t.TempDir()
	a.restart()
	a.dial(x)
	eventually(t, "a is linked", func() bool { return a.b.Status()[0].State == "up" })
	settle(t, a.st)
	before := disk.Calls().Writes
	gate.Lock()
	a.mustPublish("t", 1, numbered("m", 0, 20)...) // with a disk that is stuck
	gate.Unlock()
	a.drained("x")
	if got := disk.Calls().Writes; got != before {
		t.Errorf("got %d writes at the edge, want none", got-before)
	}
	if got := a.reg.Counter("mangrove_link_messages_early_total").Get(); got != 20 {
		t.Errorf("got %d messages sent early, want 20", got)
	}

	kept := make(chan error, 1)
	go func() { kept <- a.publish("held", "slow core", 1, false) }() // ends with the publish
	h.want(t, "slow core")
	a.b.uplink.n.queue.late()
	if err := <-kept; err != nil {
		t.Errorf("got %v, want it kept at the edge", err)
	}
	if got := a.backlog("x"); got != 1 {
		t.Errorf("got a backlog of %d, want 1", got)
	}
	h.release(nil)
	a.drained("x")
}
