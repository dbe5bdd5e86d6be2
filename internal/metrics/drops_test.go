package metrics

import (
	"maps"
	"testing"
)

func TestDropsAreListedByReason(t *testing.T) {
	r := New()
	r.Dropped("queue full").Add(3)
	r.Dropped("expired").Inc()
	r.Counter("mangrove_other_total").Inc()
	want := map[string]uint64{"queue full": 3, "expired": 1}
	if got := r.Drops(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestNilRegistryCountsNothing(t *testing.T) {
	var r *Registry
	r.Dropped("x").Inc()
	if got := r.Drops(); len(got) != 0 {
		t.Errorf("got %v, want no drops", got)
	}
}
