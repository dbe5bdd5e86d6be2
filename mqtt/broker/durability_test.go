package broker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
)

// The topic says how stable a publish is when it is acknowledged; of a step the most careful publish counts.
func TestDurabilityByTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counters := metrics.New()
		db, err := store.Open(store.Config{Dir: t.TempDir(), Metrics: counters})
		if err != nil {
			t.Fatal(err)
		}
		rules := []router.DurabilityRule{{Filter: "fast/#", Slack: batch.Slack(time.Hour)}, {Filter: "debug/#", Slack: batch.Unsynced}}
		b := newBenchOn(t, router.Config{Durability: router.Durability{Rules: rules}}, func(c *Config) { c.Store = db })
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
