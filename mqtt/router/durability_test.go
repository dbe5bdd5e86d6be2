package router

import (
	"math"
	"strings"
	"testing"
	"time"

	"mangrove/internal/batch"
)

func TestParseDurability(t *testing.T) {
	cases := map[string]batch.Slack{"commit": 0, "none": math.MaxInt64, "50ms": batch.Slack(50 * time.Millisecond), "1h": batch.Slack(time.Hour)}
	for in, want := range cases {
		if got, err := ParseDurability(in); err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "never", "0s", "999us", "-1s", "1h1ms", "50"} {
		if got, err := ParseDurability(in); err == nil {
			t.Errorf("%s: got %d, want an error", in, got)
		}
	}
}

func TestParseDurabilityRule(t *testing.T) {
	cases := map[string]DurabilityRule{
		"a/+/b = 50ms": {"a/+/b", batch.Slack(50 * time.Millisecond)},
		"#=none":       {"#", batch.Unsynced},
		"a=b/# = none": {"a=b/#", batch.Unsynced},
		"$fleet/# =1s": {"$fleet/#", batch.Slack(time.Second)},
	}
	for in, want := range cases {
		if got, err := ParseDurabilityRule(in); err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"a/b":               "FILTER = CLASS",
		"a/#/b = none":      "#",
		" = none":           "empty",
		"a = sometimes":     "want commit",
		"$share/g/a = none": "without $share/g/",
	} {
		if _, err := ParseDurabilityRule(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", in, err, want)
		}
	}
}

func TestFirstRuleThatMatchesCounts(t *testing.T) {
	d := Durability{Default: 1, Rules: []DurabilityRule{{"a/b", 2}, {"a/#", 3}, {"a/c", 4}}}
	for topicName, want := range map[string]batch.Slack{"x": 1, "a/b": 2, "a": 3, "a/c": 3, "$SYS/a": 1} {
		if got := d.of(topicName); got != want {
			t.Errorf("%s: got %d, want %d", topicName, got, want)
		}
	}
}
