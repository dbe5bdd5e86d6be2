package retain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/internal/store"
)

// Random messages, expiries, sweeps and restarts: what a filter finds is what a map of topics holds.
func TestModel(t *testing.T) {
	level := rapid.SampledFrom([]string{"", "a", "b", "$x", "long-level"})
	rapid.Check(t, func(rt *rapid.T) {
		disk := openDisk(t, store.Config{Dir: t.TempDir()})
		b := &bench{TB: t, disk: disk, cfg: Config{CacheBytes: 16 * 250, SweepEvery: time.Hour}}
		b.open()
		defer func() { b.Store.Close(); disk.Close() }()
		now := time.Now()
		model := map[string]string{} // topic → payload
		dies := map[string]time.Time{}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			topic := strings.Join(rapid.SliceOfN(level, 1, 3).Draw(rt, "levels"), "/")
			if topic == "" {
				topic = "/" // a topic has at least one character [MQTT-4.7.3-1]
			}
			switch rapid.IntRange(0, 6).Draw(rt, "kind") {
			case 0:
				b.put(topic, "")
				delete(model, topic)
			case 1:
				b.open()
			case 2:
				now = now.Add(time.Minute)
				b.cfg.Now = func() time.Time { return now }
				b.open()
			case 3:
				b.Sweep(now)
			default:
				m := b.message(topic, rapid.StringMatching("[a-z]{1,200}").Draw(rt, "payload"))
				delete(dies, topic)
				if rapid.Bool().Draw(rt, "expires") {
					m.Expires = now.Add(90 * time.Second)
					dies[topic] = m.Expires
				}
				if err := b.set(m); err != nil {
					rt.Fatal(err)
				}
				model[topic] = string(m.Payload)
			}
			for topic, at := range dies {
				if !now.Before(at) {
					delete(model, topic)
				}
			}
			filter := rapid.SampledFrom([]string{"#", "+", "+/+", "a/#", "+/b", "$x/#", topic}).Draw(rt, "filter")
			var want []string
			for topic, payload := range model {
				if matches(filter, topic) {
					want = append(want, topic+"="+payload)
				}
			}
			slices.Sort(want)
			if got := b.matchAt(filter, now); got != strings.Join(want, " ") {
				rt.Fatalf("%s: got %q, want %q", filter, got, want)
			}
		}
	})
}
