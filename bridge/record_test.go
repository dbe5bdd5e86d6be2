package bridge

import (
	"reflect"
	"testing"
	"time"

	"mangrove/bridge/frame"
)

func TestRecordRoundTrip(t *testing.T) {
	rec := record{num: 1, store: 1 << 60, scope: 2, attach: 3, settled: 2, lastSeen: time.Unix(1000, 0), moved: time.Unix(2000, 0), movedTo: "y",
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
