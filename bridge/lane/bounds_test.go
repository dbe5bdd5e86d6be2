package lane

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
)

// add queues one message in a batch of its own, which it commits, and returns what its publisher is told.
func (q *Queue) add(t testing.TB, payload string) error {
	t.Helper()
	writes, told := new(batch.Batch), make(chan error, 1)
	r := mqtt.NewReceipt(writes, func(err error) { told <- err })
	q.Add(&mqtt.Message{Topic: "t", Payload: []byte(payload), QoS: 1, ID: q.st.NextID()}, 1, frame.ItemMessage, r)
	r.Close()
	commit(t, q.st, writes)
	return <-told
}

// atBound returns when what gives way is gone; so many messages are on the way, which do not.
func (q *Queue) atBound(t testing.TB, onTheWay int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		q.mu.Lock()
		over, running := q.overLocked() && q.messages > onTheWay, q.bound.running
		q.mu.Unlock()
		if !over && !running {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the queue is still above its bound")
		}
	}
}

// A queue takes exactly what its bounds allow, in messages and in bytes; above them it does what it is told to do. [promise P6]
func TestQueueKeepsToItsBounds(t *testing.T) {
	size := (&mqtt.Message{Topic: "t", Payload: []byte("a")}).Size()
	for _, bound := range []struct{ messages, bytes int }{{3, 100 * size}, {100, 3*size + 10}} {
		for when, want := range map[overflow.Policy][]string{overflow.Refuse: {"0", "1", "2"}, overflow.DropNew: {"0", "1", "2"}, overflow.DropOldest: {"2", "3", "4"}} {
			drops, refused := new(counts), 0
			cfg := testConfig(openStore(t, t.TempDir()), 1)
			cfg.MaxMessages, cfg.MaxBytes, cfg.WhenFull.Default = bound.messages, bound.bytes, when
			cfg.Dropped = drops.note
			q := load(t, cfg)
			q.Attach(t)
			for i := range 5 {
				if err := q.add(t, fmt.Sprint(i)); errors.Is(err, mqtt.ErrQuota) {
					refused++
				} else if err != nil {
					t.Fatal(err)
				}
			}
			settle(t, q.st)
			q.atBound(t, 0)
			if _, got := q.take(t, t, plenty); !slices.Equal(got, want) {
				t.Errorf("%s, %+v: got %q, want %q", when, bound, got, want)
			}
			if (when == overflow.Refuse) != (refused == 2) || (when == overflow.Refuse) == (drops.full.Load() == 2) {
				t.Errorf("%s, %+v: got %d refused and %d dropped", when, bound, refused, drops.full.Load())
			}
		}
	}
}

// What is on the way, unacknowledged, stays within the credit of the far side; acknowledgements make room.
func TestCreditBoundsWhatIsOnTheWay(t *testing.T) {
	q := load(t, testConfig(openStore(t, t.TempDir()), 1))
	q.Attach(t)
	q.fill(t, 0, 10)
	settle(t, q.st)
	first, got := q.take(t, t, Credit{Messages: 4, Bytes: 1 << 20})
	if want := []string{"0", "1", "2", "3"}; !slices.Equal(got, want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	q.Ack(t, first[1].Pos)
	if _, got := q.take(t, t, Credit{Messages: 4, Bytes: 1 << 20}); !slices.Equal(got, []string{"4", "5"}) {
		t.Errorf("got %q after two acknowledgements, want 4 and 5", got)
	}
}

// Nothing is sent before it is stable, also what is read from disk behind much that waits in memory. [promise P1]
func TestNothingIsSentBeforeItIsStable(t *testing.T) {
	for _, before := range []int{0, 3, memEntries + 10} {
		q := load(t, testConfig(openStore(t, t.TempDir()), 1))
		q.Attach(t)
		q.fill(t, 0, before)
		settle(t, q.st)
		late := new(batch.Batch)
		r := mqtt.NewReceipt(late, nil)
		q.Add(&mqtt.Message{Topic: "t", Payload: []byte("late"), QoS: 1, ID: q.st.NextID()}, 1, frame.ItemMessage, r)
		r.Close()
		q.fill(t, before, before+5)
		settle(t, q.st)
		if n := len(q.mem); n > memEntries {
			t.Errorf("got %d entries in memory, want at most %d", n, memEntries)
		}
		if got := q.takeAll(t); len(got) != before {
			t.Errorf("got %d messages before the next is stable, want %d", len(got), before)
		}
		commit(t, q.st, late)
		settle(t, q.st)
		if got := q.takeAll(t); len(got) != 6 || got[0] != "late" {
			t.Errorf("got %q in the end, want late and five others", got)
		}
	}
}

// takeAll reads and acknowledges until there is nothing more.
func (q *Queue) takeAll(t testing.TB) (all []string) {
	t.Helper()
	for {
		found, got := q.take(t, t, plenty)
		if len(got) == 0 {
			return all
		}
		all = append(all, got...)
		q.Ack(t, found[len(found)-1].Pos)
	}
}
