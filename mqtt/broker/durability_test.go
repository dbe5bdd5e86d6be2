package broker

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func TestParseDurability(t *testing.T) {
	cases := map[string]store.Slack{"commit": 0, "none": math.MaxInt64, "50ms": store.Slack(50 * time.Millisecond), "1h": store.Slack(time.Hour)}
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
		"a/+/b = 50ms": {"a/+/b", store.Slack(50 * time.Millisecond)},
		"#=none":       {"#", store.Unsynced},
		"a=b/# = none": {"a=b/#", store.Unsynced},
		"$fleet/# =1s": {"$fleet/#", store.Slack(time.Second)},
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
	for topicName, want := range map[string]store.Slack{"x": 1, "a/b": 2, "a": 3, "a/c": 3, "$SYS/a": 1} {
		if got := d.of(topicName); got != want {
			t.Errorf("%s: got %d, want %d", topicName, got, want)
		}
	}
}

// The topic says how stable a publish is when it is acknowledged; of a step the most careful publish counts.
func TestDurabilityByTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counters := metrics.New()
		db, err := store.Open(store.Config{Dir: t.TempDir(), Metrics: counters})
		if err != nil {
			t.Fatal(err)
		}
		b := newBench(t, func(c *Config) {
			c.Store = db
			c.Router.cfg.Durability = Durability{Rules: []DurabilityRule{{"fast/#", store.Slack(time.Hour)}, {"debug/#", store.Unsynced}}}
		})
		unsynced := func(why string, want int) {
			t.Helper()
			var all strings.Builder
			counters.Write(&all)
			if line := fmt.Sprintf("mangrove_store_unsynced_batches %d\n", want); !strings.Contains(all.String(), line) {
				t.Errorf("%s: the metrics lack %q", why, line)
			}
		}
		b.router.Subscribe(&durable{}, mqtt.Subscription{Filter: "#", QoS: 2})
		p := b.client(packet.V5, "p")
		p.Write(pubQ(1, 1, "debug/a", ""))
		p.Want("written", ack(packet.PUBACK, 1, 0))
		unsynced("none", 1)
		p.Write(pubQ(2, 2, "fast/a", ""))
		p.Want("written", ack(packet.PUBREC, 2, 0))
		unsynced("an hour, QoS 2", 2)
		p.Write(pub("elsewhere", ""))
		p.WantIdle("QoS 0")
		unsynced("commit, written at QoS 0", 0)
		p.Write(pubQ(1, 3, "debug/a", ""), pub("debug/b", ""))
		p.Want("written", ack(packet.PUBACK, 3, 0))
		unsynced("none, twice in a step", 1)
		p.Write(pubQ(1, 4, "debug/a", ""), pubQ(1, 5, "alarm", ""), pubQ(1, 6, "fast/b", ""))
		for id := range uint16(3) {
			p.Want("stable", ack(packet.PUBACK, 4+id, 0))
		}
		unsynced("commit among others", 0)
		if err := b.srv.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
