package cli

import (
	"slices"
	"testing"
	"time"

	"mangrove/internal/dashboard"
)

// What is wrong with a node is in the first lines of its status.
func TestHealthInWords(t *testing.T) {
	cases := []struct {
		name string
		s    dashboard.Status
		want []string
	}{
		{"well", dashboard.Status{Ready: true, Links: []dashboard.Link{{Name: "core-1", Scope: "uplink", State: "up"}}}, []string{"all is well"}},
		{"twin", dashboard.Status{Ready: true, Links: []dashboard.Link{{Name: "gw", Scope: "edge", State: "up", Twin: "store 7"}}},
			[]string{"TWO NODES run under one name: what is said of gw below tells which"}},
		{"no core", dashboard.Status{Ready: true, Links: []dashboard.Link{{Name: "uplink", Scope: "uplink", State: "down", BacklogMessages: 40}}},
			[]string{"NO CORE is configured or known: 40 messages wait for one"}},
		{"no core, nothing for it", dashboard.Status{Ready: true, Links: []dashboard.Link{{Name: "uplink", Scope: "uplink", State: "down"}}}, []string{"all is well"}},
		{"no link", dashboard.Status{Ready: true, FullQueues: 1, Links: []dashboard.Link{{Name: "uplink", Scope: "uplink", State: "down", Attempts: 2, BacklogMessages: 3, Since: time.Now()}}},
			[]string{"NO LINK to uplink for <1s: 3 messages wait", "FULL: 1 queues are at their bound, and drop or refuse (session list, link list)"}},
	}
	for _, c := range cases {
		if got := health(c.s); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
