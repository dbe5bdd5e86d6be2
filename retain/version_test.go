package retain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/internal/batch"
	"mangrove/internal/hlc"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

// from makes a message as a link brings it.
func (b *bench) from(topic, payload string, version hlc.Time) *mqtt.Message {
	m := b.message(topic, payload)
	m.Version, m.From = version, mqtt.Source{Scope: mqtt.ScopePeer, Name: "x"}
	return m
}

// written waits until everything that was committed is on the disk.
func (b *bench) written() {
	b.Helper()
	done := make(told, 1)
	last := new(batch.Batch)
	last.Delete(batch.Retained, []byte("none"))
	last.Notify(done, 0)
	b.disk.Commit(last)
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// told hands on what a batch came to; cap 1.
type told chan error

// Committed implements batch.Waiter.
func (c told) Committed(_ uint64, err error) { c <- err }

func TestNewestWins(t *testing.T) {
	eachKind(t, func(b *bench) {
		for _, e := range []struct {
			payload string
			version hlc.Time
			want    string
		}{
			{"first", 100, "t=first"},
			{"newer", 200, "t=newer"},
			{"older", 150, "t=newer"},
			{"", 190, "t=newer"},
			{"", 300, ""},
			{"late", 250, ""},
			{"back", 301, "t=back"},
		} {
			m := b.from("t", e.payload, e.version)
			if err := b.set(m); err != nil {
				b.Fatal(err)
			}
			if got := b.match("#"); got != e.want {
				b.Errorf("%q of %d: got %q, want %q", e.payload, e.version, got, e.want)
			}
			if held := b.Holds("t", m.Origin); m.Retain != held {
				b.Errorf("%q of %d: goes on with RETAIN %v, held %v", e.payload, e.version, m.Retain, held)
			}
			if b.disk != nil {
				b.open()
				if got := b.match("#"); got != e.want {
					b.Errorf("%q of %d, after a restart: got %q, want %q", e.payload, e.version, got, e.want)
				}
			}
		}
	})
}

// What is published here is newer than what is held, also when that is of a clock far ahead; a copy of what is held has its version.
func TestPublishedHereIsNewer(t *testing.T) {
	eachKind(t, func(b *bench) {
		ahead := hlc.At(time.Now().Add(240 * time.Hour).UnixMilli())
		first := b.from("t", "ahead", ahead)
		if err := b.set(first); err != nil {
			b.Fatal(err)
		}
		copied := b.message("t", "ahead")
		copied.Origin = first.Origin
		if err := b.set(copied); err != nil || copied.Version != ahead {
			b.Errorf("a copy: got version %d, %v, want %d", copied.Version, err, ahead)
		}
		m := b.put("t", "mine")
		b.want("t", "t=mine")
		if m.Version != ahead+1 {
			b.Errorf("got version %d, want %d", m.Version, ahead+1)
		}
		if other := b.put("other", "mine"); other.Version >= ahead {
			b.Errorf("another topic follows the clock that is ahead: %d", other.Version)
		}
	})
}

// A message that expires leaves its version: what it had replaced does not come back.
func TestExpiredStaysGone(t *testing.T) {
	eachKind(t, func(b *bench) {
		now := time.Now()
		old, short := b.from("t", "old", 100), b.from("t", "short", 200)
		short.Expires = now.Add(time.Minute)
		for _, m := range []*mqtt.Message{old, short} {
			if err := b.set(m); err != nil {
				b.Fatal(err)
			}
		}
		b.Sweep(now.Add(2 * time.Minute))
		b.settled("t")
		again := b.from("t", "old", 100)
		if err := b.set(again); err != nil {
			b.Fatal(err)
		}
		if got := b.matchAt("#", now.Add(2*time.Minute)); got != "" || again.Retain {
			b.Errorf("got %q, RETAIN %v, want nothing", got, again.Retain)
		}
	})
}

func TestClearingsAreBounded(t *testing.T) {
	eachKind(t, func(b *bench) {
		b.cfg.MaxCleared = 10
		b.Store.cfg.MaxCleared = 10
		for i := range 30 {
			topic := fmt.Sprint("t/", i)
			b.put(topic, "v")
			b.put(topic, "")
			b.put(fmt.Sprint("blind/", i), "") // known for an hour: goes first
		}
		if got := b.Cleared(); got > 11 {
			b.Errorf("got %d clearings, want 10", got)
		}
		last := b.from("t/29", "old", 1)
		if err := b.set(last); err != nil {
			b.Fatal(err)
		}
		b.want("t/29", "")
		if b.disk != nil {
			b.open()
			b.want("#", "")
		}
		b.Sweep(time.Now().Add(DefaultClearedKeep + time.Hour))
		if got := b.Cleared(); got != 0 {
			b.Errorf("after their time: got %d clearings, want none", got)
		}
		if b.disk != nil {
			b.written()
			b.open()
			if got := b.Cleared(); got != 0 {
				b.Errorf("after a restart: got %d clearings, want none", got)
			}
		}
	})
}

// A clearing that is told on lives no longer than where it came from.
func TestHealedClearingKeepsItsTime(t *testing.T) {
	eachKind(t, func(b *bench) {
		m := b.from("t", "", 5)
		m.Healed, m.Expires = true, time.Now().Add(time.Minute)
		b.put("t", "v")
		m.Version = hlc.At(time.Now().Add(time.Hour).UnixMilli())
		if err := b.set(m); err != nil {
			b.Fatal(err)
		}
		told := b.Newest("t")
		if told == nil || !told.Healed || len(told.Payload) != 0 || told.Version != m.Version || time.Until(told.Expires) > time.Minute {
			b.Fatalf("got %+v, want the clearing with a minute left", told)
		}
		b.Sweep(time.Now().Add(2 * time.Minute))
		if b.Newest("t") != nil {
			b.Error("it is known longer than it had left")
		}
	})
}

// What comes over a link and has no room goes on, and nothing that is known to be old stays.
func TestNoRoomForWhatComesFromElsewhere(t *testing.T) {
	eachKind(t, func(b *bench) {
		b.Store.cfg.MaxMessages, b.Store.cfg.MaxBytes = 2, 1000
		b.put("a", "1")
		b.put("b", "2")
		if got := b.Room(); got != 0 {
			b.Errorf("got room for %d, want 0", got)
		}
		m := b.from("c", "3", 300)
		if err := b.set(m); err != nil || !m.Retain {
			b.Errorf("got %v, RETAIN %v, want it to go on as it is", err, m.Retain)
		}
		large := b.from("b", strings.Repeat("x", 2000), hlc.At(time.Now().Add(time.Minute).UnixMilli()))
		if err := b.set(large); err != nil {
			b.Error(err)
		}
		b.want("#", "a=1")
		if err := b.set(b.message("a", strings.Repeat("x", 2000))); !errors.Is(err, mqtt.ErrQuota) {
			b.Errorf("published here: got %v, want ErrQuota", err)
		}
	})
}

func TestLetGo(t *testing.T) {
	eachKind(t, func(b *bench) {
		for _, topic := range []string{"in/1", "in/2", "both"} {
			if err := b.set(b.from(topic, "theirs", 100)); err != nil {
				b.Fatal(err)
			}
		}
		b.put("out", "mine")
		b.put("both", "mine")
		if err := b.set(b.from("both", "theirs", hlc.At(time.Now().Add(time.Minute).UnixMilli()))); err != nil {
			b.Fatal(err)
		}
		if got := b.LetGo(func(topic string) bool { return topic == "in/2" }); got != 1 {
			b.Errorf("got %d let go, want 1", got)
		}
		b.want("#", "both=theirs in/2=theirs out=mine")
		if b.disk != nil {
			b.written()
			b.open()
			b.want("#", "both=theirs in/2=theirs out=mine")
		}
		if !b.Wants("in/1", mqtt.Version{Time: 100}) || b.Wants("in/2", mqtt.Version{Time: 100}) {
			b.Error("what was let go is not wanted again, or what is held is")
		}
	})
}

// Records of the version before are older than anything with a version.
func TestRecordForm1(t *testing.T) {
	v := append(make([]byte, 7), 9, recordForm1, 5, 6, 7, 8)
	e, err := decodeRecord([]byte("t"), v)
	if err != nil || e.id != 9 || e.version() != (mqtt.Version{Time: hlc.First, Origin: mqtt.Origin{Life: 5, Seq: 6}}) || e.size != 7 || e.expires.At != 8 {
		t.Errorf("got %+v, %v", e, err)
	}
	e.gone, e.here, e.time = true, true, hlc.At(1<<40)
	v = e.appendRecord(make([]byte, 8))
	again, err := decodeRecord([]byte("t"), v)
	if err != nil || !again.gone || !again.here || again.version() != e.version() || again.expires.At != 8 {
		t.Errorf("got %+v, %v", again, err)
	}
	for n := 8; n < len(v); n++ {
		if _, err := decodeRecord([]byte("t"), v[:n]); err == nil {
			t.Errorf("cut at byte %d of %d: got no error", n, len(v))
		}
	}
}

// A record of the version before does not say who published its message: what this folder has numbered was published here, and
// is not let go.
func TestRecordForm1OfThisNodeStays(t *testing.T) {
	b := start(t, true, Config{})
	for topic, life := range map[string]uint64{"mine": b.disk.Lives()[0], "theirs": 5} {
		m := b.message(topic, "x")
		record := binary.AppendUvarint([]byte{recordForm1}, life)
		writes := new(batch.Batch)
		writes.PutRef(batch.Retained, []byte(topic), m.ID, append(record, 6, 7, 0),
			func(dst []byte) []byte { return mqtt.AppendMessage(dst, m) })
		b.disk.Commit(writes)
	}
	b.written()
	b.open()
	b.want("#", "mine=x theirs=x")
	b.LetGo(func(string) bool { return false })
	b.want("#", "mine=x")
}

// A message that was numbered here and comes back over a link, since this node held an older one of somebody else, was published
// here: it is not let go.
func TestOwnMessageThatComesBackStays(t *testing.T) {
	b := start(t, true, Config{})
	for topic, life := range map[string]uint64{"mine": b.disk.Lives()[0], "theirs": 5} {
		m := b.from(topic, "x", 9)
		m.Origin = mqtt.Origin{Life: life, Seq: 7}
		if err := b.publish(m); err != nil {
			t.Fatal(err)
		}
	}
	b.LetGo(func(string) bool { return false })
	b.want("#", "mine=x")
}

// Whatever comes in whatever order, over restarts, the newest of each topic is held.
func TestVersionModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		disk := openDisk(t, store.Config{Dir: t.TempDir()})
		b := &bench{TB: t, disk: disk, cfg: Config{SweepEvery: time.Hour}}
		b.open()
		defer func() { b.Store.Close(); disk.Close() }()
		newest := map[string]*mqtt.Message{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			topic := rapid.SampledFrom([]string{"a", "a/b", "c"}).Draw(rt, "topic")
			m := b.from(topic, rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "payload"), hlc.Time(rapid.IntRange(1, 20).Draw(rt, "version")))
			m.Origin.Life = rapid.Uint64Range(1, 3).Draw(rt, "store")
			if err := b.set(m); err != nil {
				rt.Fatal(err)
			}
			if had := newest[topic]; had == nil || mqtt.VersionOf(m).Compare(mqtt.VersionOf(had)) > 0 {
				newest[topic] = m
			}
			if rapid.IntRange(0, 9).Draw(rt, "restart") == 0 {
				b.open()
			}
		}
		var want []string
		for topic, m := range newest {
			if len(m.Payload) > 0 {
				want = append(want, topic+"="+string(m.Payload))
			}
		}
		slices.Sort(want)
		b.want("#", strings.Join(want, " "))
	})
}
