package bridge

import (
	"encoding/binary"
	"reflect"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/due"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

func TestRecordRoundTrip(t *testing.T) {
	rec := record{num: 1, store: 1 << 60, lives: []uint64{1 << 63, 5}, scope: 2, attach: 3, settled: 2, lastSeen: time.UnixMilli(1000), moved: time.UnixMilli(2000), movedTo: "y",
		cores: []frame.Core{{Name: "x", Addr: "h:1"}}}
	b := rec.append(nil, due.Unix{})
	if got, err := decodeRecord("b", b, due.Unix{}, time.Now()); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("got %+v, %v, want %+v", got, err, rec)
	}
	for n := range b {
		if got, err := decodeRecord("b", b[:n], due.Unix{}, time.Now()); err == nil {
			t.Errorf("cut at %d: got %+v, want an error", n, got)
		}
	}
}

// older is a record as an earlier version wrote it: without lives in version 1, with Unix seconds.
func older(version byte, lastSeen, moved uint64) []byte {
	b := []byte{version}
	for _, v := range []uint64{1, 7, uint64(mqtt.ScopePeer), 0, 0, lastSeen, moved} {
		b = binary.AppendUvarint(b, v)
	}
	b = frame.AppendPrefixed(b, "y")
	if version >= 2 {
		b = binary.AppendUvarint(b, 0)
	}
	return frame.AppendCores(b, nil)
}

func TestRecordOfEarlierVersions(t *testing.T) {
	now, hour := time.Now(), uint64(3600)
	at := uint64(now.Unix())
	for _, c := range []struct {
		why      string
		lastSeen uint64
		now      time.Time
		ago      time.Duration
	}{
		{"an hour ago", at - hour, now, time.Hour},
		{"written by a clock that was ahead", at + hour, now, 0},
		{"written by a clock that was not set", hour, now, 0},
		{"read with a clock that is not set", at - hour, time.Unix(1000, 0), 0},
	} {
		for version := range byte(2) {
			got, err := decodeRecord("b", older(version+1, c.lastSeen, 0), due.Unix{}, c.now)
			if err != nil || got.store != 7 || got.movedTo != "y" || got.lives != nil || !got.moved.IsZero() || c.now.Sub(got.lastSeen).Round(time.Minute) != c.ago {
				t.Errorf("%s, version %d: got %+v, %v, want %v before %v", c.why, version+1, got, err, c.ago, c.now)
			}
		}
	}
}

// A record grows older by the time that passes, over restarts under wall clocks that are set to and fro.
func TestRecordIsAsOldAsTimeThatHasPassed(t *testing.T) {
	const day = 24 * time.Hour
	dir, steady, wall := t.TempDir(), time.Now(), time.Now().Round(0)
	open := func() *store.Store {
		st, err := store.Open(store.Config{Dir: dir, Now: func() time.Time { return steady }, Wall: func() time.Time { return wall }})
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	st := open()
	rec := record{num: 1, scope: mqtt.ScopePeer, lastSeen: steady, moved: steady}
	b := rec.append(nil, st)
	for _, jump := range []time.Duration{10 * day, -10 * day, -20 * 365 * day, 20 * 365 * day} {
		wall = wall.Add(jump) // while the node runs
		steady, wall = steady.Add(time.Minute), wall.Add(time.Minute)
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		steady = steady.Add(-123 * day) // of another run: its times say nothing about those before
		st = open()
		var err error
		if rec, err = decodeRecord("b", b, st, steady); err != nil {
			t.Fatal(err)
		}
		b = rec.append(nil, st)
	}
	if seen, moved := steady.Sub(rec.lastSeen), steady.Sub(rec.moved); seen.Round(time.Second) != 4*time.Minute || moved != seen {
		t.Errorf("got %v and %v, want 4 minutes", seen, moved)
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}

func TestSpareAnEighthAfterAStart(t *testing.T) {
	const expiry, linger = 80 * time.Hour, 8 * time.Hour
	now := time.Now()
	long := now.Add(-1000 * time.Hour)
	for _, c := range []struct {
		why                 string
		scope               mqtt.Scope
		seen, moved         time.Time
		wantSeen, wantMoved time.Duration
	}{
		{"an edge away for long", mqtt.ScopeEdge, long, time.Time{}, 70 * time.Hour, 0},
		{"an edge that has moved", mqtt.ScopeEdge, long, long, 70 * time.Hour, 7 * time.Hour},
		{"a peer's past", mqtt.ScopePeer, long, long, 70 * time.Hour, 70 * time.Hour},
		{"seen a moment ago", mqtt.ScopePeer, now.Add(-time.Hour), now.Add(-2 * time.Hour), time.Hour, 2 * time.Hour},
	} {
		r := record{scope: c.scope, lastSeen: c.seen, moved: c.moved}
		r.spare(now, expiry, linger)
		if seen := now.Sub(r.lastSeen); seen != c.wantSeen {
			t.Errorf("%s: got seen %v ago, want %v", c.why, seen, c.wantSeen)
		}
		if c.moved.IsZero() != r.moved.IsZero() || !c.moved.IsZero() && now.Sub(r.moved) != c.wantMoved {
			t.Errorf("%s: got moved at %v, want %v before %v", c.why, r.moved, c.wantMoved, now)
		}
	}
}
