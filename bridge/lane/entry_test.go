package lane

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

func TestEntryRoundTrip(t *testing.T) {
	q := NewQueue(testConfig(openStore(t, t.TempDir()), 7))
	for _, e := range []Entry{
		{Pos: 1, ID: 5, Size: 300, Expires: 1 << 41, QoS: 2, Kind: frame.ItemReplay, Edge: "b", Control: nil, state: ready},
		{Pos: 1 << 63, Kind: frame.ItemControl, Control: []byte("moved"), state: ready},
	} {
		key, value := q.key(e.Pos), append(binary.BigEndian.AppendUint64(nil, e.ID), e.appendValue(nil)...)
		got, err := q.decode(key, value)
		if len(got.Control) == 0 {
			got.Control = nil
		}
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v, %v, want %+v", got, err, e)
		}
		for n := range value {
			if got, err := q.decode(key, value[:n]); err == nil {
				t.Errorf("cut at %d of %d: got %+v, want an error", n, len(value), got)
			}
		}
	}
}

// oldRecord is a record of an earlier version, with a deadline in Unix milliseconds of the wall clock.
func oldRecord(id uint64, size int, unixMilli int64) []byte {
	b := binary.BigEndian.AppendUint64(nil, id)
	b = append(b, frame.ItemMessage, 1)
	b = binary.AppendUvarint(b, uint64(size))
	b = binary.AppendUvarint(b, uint64(unixMilli))
	return append(b, 0, 0)
}

// A folder of an earlier version: what is left of a message's time is what the wall clock says, as it was then. Without a
// clock that was set nobody knows, and the message is kept. [promise P1]
func TestDeadlinesOfEarlierVersions(t *testing.T) {
	today := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	const lost = "damaged or dropped"
	for _, c := range []struct {
		why     string
		now     time.Time
		expires time.Time
		left    time.Duration // 0 = no deadline
	}{
		{"an hour is left", today, today.Add(time.Hour), time.Hour},
		{"no deadline", today, time.UnixMilli(0), 0},
		{"queued before the clock was set", today, time.Unix(3600, 0), 0},
		{"the clock is not set now", time.Unix(100, 0), today.Add(time.Hour), 0},
		{"the clock was never set", time.Unix(100, 0), time.Unix(3600, 0), 0},
	} {
		now := c.now
		st, err := store.Open(store.Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		cfg := testConfig(st, 1)
		cfg.Now = func() time.Time { return now }
		cfg.Dropped = func(reason string, n int) { t.Errorf("%s: got %d %s: %s", c.why, n, lost, reason) }
		b, m := new(batch.Batch), &mqtt.Message{Topic: "t", Payload: []byte("kept"), QoS: 1, ID: st.NextID()}
		b.PutRef(batch.LinkQueues, NewQueue(cfg).key(st.NextID()), m.ID, oldRecord(m.ID, 4, c.expires.UnixMilli())[8:],
			func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
		commit(t, st, b)
		q := load(t, cfg)
		q.Attach(t)
		if _, err := q.Refill(t); err != nil {
			t.Fatal(err)
		}
		found, _ := q.Next(t, nil, plenty, 1<<30, now)
		if len(found) != 1 {
			t.Fatalf("%s: got %d messages, want 1", c.why, len(found))
		}
		switch at := q.Deadline(&found[0]); {
		case c.left == 0 && !at.IsZero(), c.left != 0 && at.Sub(now) != c.left:
			t.Errorf("%s: got a deadline %v from now (%v), want %v; 0 = none", c.why, at.Sub(now), at, c.left)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A message lives for the time that passes, whatever the wall clock is set to meanwhile: while the node runs, and over
// restarts.
func TestDeadlineIsTimeThatHasPassed(t *testing.T) {
	dir, wall := t.TempDir(), time.Unix(1000, 0) // a gateway without a battery
	steady := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var drops int
	open := func() (*store.Store, *Queue) {
		st, err := store.Open(store.Config{Dir: dir, Now: func() time.Time { return steady }, Wall: func() time.Time { return wall }})
		if err != nil {
			t.Fatal(err)
		}
		cfg := testConfig(st, 1)
		cfg.Now = func() time.Time { return steady }
		cfg.Dropped = func(_ string, n int) { drops += n }
		return st, load(t, cfg)
	}
	st, q := open()
	b := new(batch.Batch)
	r := mqtt.NewReceipt(b, nil)
	q.Add(&mqtt.Message{Topic: "t", Payload: []byte("0"), QoS: 1, ID: st.NextID(), Expires: steady.Add(time.Hour)}, 1, frame.ItemMessage, r)
	r.Close()
	commit(t, st, b)
	for range 3 { // started decades ago, the time server answers, switched off: again and again
		wall = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
		steady = steady.Add(10 * time.Minute)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		wall = time.Unix(1000, 0)
		steady = steady.Add(-30 * 365 * 24 * time.Hour) // of another run: its times say nothing about those of the one before
		st, q = open()
	}
	q.Attach(t)
	found, got := q.take(t, t, plenty, steady)
	if fmt.Sprint(got) != "[0]" || drops != 0 {
		t.Fatalf("got %v and %d drops after half an hour, want [0]", got, drops)
	}
	if left := q.Deadline(&found[0]).Sub(steady); left < 29*time.Minute || left > 31*time.Minute {
		t.Errorf("got %v left, want half an hour", left)
	}
	q.Attach(t)
	if _, got := q.take(t, t, plenty, steady.Add(31*time.Minute)); len(got) != 0 || drops != 1 {
		t.Errorf("got %v and %d drops after an hour, want it dropped", got, drops)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
