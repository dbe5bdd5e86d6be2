package bridge

import (
	"reflect"
	"testing"
	"time"

	"mangrove/bridge/frame"
)

func TestRecordRoundTrip(t *testing.T) {
	rec := record{num: 1, store: 1 << 60, lives: []uint64{1 << 63, 5}, scope: 2, attach: 3, settled: 2, lastSeen: time.Unix(1000, 0), moved: time.Unix(2000, 0), movedTo: "y",
		cores: []frame.Core{{Name: "x", Addr: "h:1"}}}
	b := rec.append(nil)
	if got, err := decodeRecord("b", b); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("got %+v, %v, want %+v", got, err, rec)
	}
	for n := range b {
		if got, err := decodeRecord("b", b[:n]); err == nil {
			t.Errorf("cut at %d: got %+v, want an error", n, got)
		}
	}
}

// The version before wrote records without lives.
func TestRecordOfVersion1(t *testing.T) {
	b := (&record{num: 1, store: 7, scope: 2, movedTo: "y"}).append(nil)
	cut := len(b) - len(frame.AppendCores(nil, nil)) - 1
	b = append(b[:cut:cut], b[cut+1:]...)
	b[0] = 1
	if got, err := decodeRecord("b", b); err != nil || got.store != 7 || got.movedTo != "y" || got.lives != nil {
		t.Errorf("got %+v, %v, want store 7, moved to y, no lives", got, err)
	}
}
