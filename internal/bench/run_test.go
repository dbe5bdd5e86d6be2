package bench

import (
	"context"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/mqtt/packet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// short is a run of less than half a second.
func short(r *relay, scenario string, qos byte) Config {
	return Config{Scenario: scenario, Broker: r.addr(), Count: 1, QoS: qos, Window: 8,
		Duration: 60 * time.Millisecond, WarmUp: -1, Settle: time.Second}
}

func TestHonestBrokerIsFoundSo(t *testing.T) {
	r := startRelay(t, &relay{})
	for _, scenario := range []string{"p2p", "fanout", "fanin"} {
		for qos := range byte(3) {
			for _, v := range []packet.Version{packet.V311, packet.V5} {
				cfg := short(r, scenario, qos)
				cfg.Version, cfg.Count = v, 3
				got, err := Run(context.Background(), cfg)
				if err != nil {
					t.Fatalf("%s QoS %d: %v", scenario, qos, err)
				}
				if got.Messages == 0 || got.Broken() != "" || got.Lost+got.Duplicated+got.Reordered > 0 || got.Latency == nil {
					t.Errorf("%s QoS %d: got %+v, want messages and nothing wrong", scenario, qos, got)
				}
			}
		}
	}
}

func TestWhatIsWrongIsCounted(t *testing.T) {
	cases := []struct {
		why                  string
		relay                *relay
		lost, doubled, moved uint64
		broken               string
		qos                  byte
	}{
		{"lost at QoS 1", &relay{fault: func(seq uint64) int { return min(1, int(seq^7)) }}, 1, 0, 0, "1 lost", 1},
		{"lost at QoS 0", &relay{fault: func(seq uint64) int { return min(1, int(seq^7)) }}, 1, 0, 0, "", 0},
		{"twice at QoS 2", &relay{fault: func(seq uint64) int { return 1 + 1/(1+int(seq^9)) }}, 0, 1, 0, "1 duplicated", 2},
		{"twice at QoS 1", &relay{fault: func(seq uint64) int { return 1 + 1/(1+int(seq^9)) }}, 0, 1, 0, "", 1},
		{"out of order", &relay{swap: true}, 0, 0, 1, "1 out of order", 1},
	}
	for _, c := range cases {
		r := startRelay(t, c.relay)
		got, err := Run(context.Background(), short(r, "p2p", c.qos))
		if err != nil {
			t.Errorf("%s: %v", c.why, err)
			continue
		}
		if got.Lost != c.lost || got.Duplicated != c.doubled || got.Reordered != c.moved || got.Broken() != c.broken {
			t.Errorf("%s: got lost %d, duplicated %d, reordered %d, %q, want %d, %d, %d, %q", c.why,
				got.Lost, got.Duplicated, got.Reordered, got.Broken(), c.lost, c.doubled, c.moved, c.broken)
		}
	}
}

func TestOpenLoopKeepsItsRate(t *testing.T) {
	cfg := short(startRelay(t, &relay{}), "p2p", 1)
	cfg.Count, cfg.Rate, cfg.Duration = 4, 1000, time.Second
	got, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got.Published < 900 || got.Published > 1100 {
		t.Errorf("got %d published in a second, want 1000", got.Published)
	}
}

// TestStallShowsInTheLatency: a broker that holds a message up cannot hide that messages were due meanwhile.
func TestStallShowsInTheLatency(t *testing.T) {
	const stall = 300 * time.Millisecond
	r := startRelay(t, &relay{fault: func(seq uint64) int {
		if seq == 20 {
			<-time.After(stall) // the broker's fault, not the test's wait
		}
		return 1
	}})
	cfg := short(r, "p2p", 0)
	cfg.Rate, cfg.Duration, cfg.Window = 200, time.Second, 4
	got, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	// About 60 of 200 messages were due while it stalled, evenly: a tenth of all waited for more than 200 ms.
	if us := got.Latency.P99; us < 250_000 {
		t.Errorf("got p99 %v µs, want more than 250,000", us)
	}
}

func TestRunEnds(t *testing.T) {
	refusing := startRelay(t, &relay{refuse: packet.NotAuthorized})
	if _, err := Run(context.Background(), short(refusing, "p2p", 0)); err == nil || !strings.Contains(err.Error(), "Not authorized") {
		t.Errorf("got %v of a broker that refuses, want why", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cfg := short(startRelay(t, &relay{}), "p2p", 0)
	cfg.Duration, cfg.Progress = time.Hour, func(Progress) { cancel() }
	if _, err := Run(ctx, cfg); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v, want it cancelled by its own progress", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Scenario = "p3p" }, "want one of p2p"},
		{func(c *Config) { c.QoS = 3 }, "QoS is 3"},
		{func(c *Config) { c.Payload = 8 }, "want 24 to"},
		{func(c *Config) { c.Window = 70_000 }, "want 1 to 65535"},
		{func(c *Config) { c.Count = -1 }, "Count is -1"},
		{func(c *Config) { c.Scenario = "offline" }, "needs QoS 1 or 2"},
		{func(c *Config) { c.Count = 10_000_000 }, "ulimit"},
	} {
		cfg := Config{Scenario: "p2p"}
		c.change(&cfg)
		if err := cfg.Check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
