package bridge

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/internal/overflow"
	"mangrove/internal/store"
	"mangrove/mqtt"
)

func TestEdgeToCore(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "a/#", 2)
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	a.mustPublish("a/1", 1, numbered("m", 0, 100)...)
	sub.want(t, numbered("m", 0, 100)...)
	a.drained("x")
	if got := sub.messages()[0]; got.QoS != 1 || got.From.Name != "a" || got.Origin.Life != a.st.Life() {
		t.Errorf("got %+v, want QoS 1, from a, with a's store as origin", got)
	}
}

// A core keeps what comes over a link as its topic asks.
func TestDurabilityOfWhatCrosses(t *testing.T) {
	x := newCore(t, "x")
	x.router.slack = map[string]batch.Slack{"debug": batch.Unsynced}
	x.subscribe("all", "#", 1)
	a := newEdge(t, "a", x)
	for _, c := range []struct{ topic, unsynced string }{{"alarm", " 0\n"}, {"debug", " 1\n"}, {"alarm", " 0\n"}} {
		a.mustPublish(c.topic, 1, "m")
		a.drained("x")
		var all strings.Builder
		x.reg.Write(&all)
		if want := "mangrove_store_unsynced_batches" + c.unsynced; !strings.Contains(all.String(), want) {
			t.Errorf("%s: the metrics lack %q", c.topic, want)
		}
	}
}

func TestReadingCrossesTwoCores(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	a, b := newEdge(t, "a", x), newEdge(t, "b", y)
	sub := b.subscribe("s", "t/+", 1)
	local := a.subscribe("local", "t/+", 1)
	x.wantInterest("y", "t/+", true)
	a.wantState("x", "up")
	for qos := byte(0); qos <= 2; qos++ {
		a.mustPublish("t/1", qos, numbered("m", 20*int(qos), 20*int(qos)+20)...)
		sub.want(t, numbered("m", 0, 20*int(qos)+20)...)
	}
	local.want(t, numbered("m", 0, 60)...)
	a.drained("x")
	x.drained("y")
	y.drained("b")
}

// Each core tells all others itself; none passes on what another core told it.
func TestThreeCoresOnceEach(t *testing.T) {
	cores := newCores(t, "x", "y", "z")
	var subs []*testClient
	for _, c := range cores {
		subs = append(subs, c.subscribe("s", "#", 1))
	}
	for _, c := range cores {
		for _, p := range cores {
			if c != p {
				c.wantInterest(p.name, "#", true)
			}
		}
	}
	cores[0].mustPublish("t", 1, numbered("m", 0, 50)...)
	for _, s := range subs {
		s.want(t, numbered("m", 0, 50)...)
	}
	for _, c := range cores {
		for _, p := range cores {
			if c != p {
				c.drained(p.name)
			}
		}
	}
	for _, s := range subs {
		s.want(t, numbered("m", 0, 50)...)
	}
}

func TestDollarTopicsDoNotCross(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "$SYS/#", 1)
	all := x.subscribe("all", "#", 1)
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	a.mustPublish("$SYS/broker/uptime", 1, "1 s")
	a.mustPublish("t", 1, "end")
	all.want(t, "end")
	sub.want(t)
}

func TestInterestComesAndGoes(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	b := newEdge(t, "b", y)
	sub := b.subscribe("s", "t", 1)
	x.wantInterest("y", "t", true)
	y.wantInterest("b", "t", true)
	x.mustPublish("t", 1, "wanted")
	x.mustPublish("other", 1, "unwanted")
	sub.want(t, "wanted")
	if got := x.status("y").Sent; got != 1 {
		t.Errorf("x sent %d messages to y, want 1", got)
	}
	b.router.Unsubscribe(sub, "t")
	y.wantInterest("b", "t", false)
	x.wantInterest("y", "t", false)
}

// Clients that want QoS 0 only do not make messages wait on disk.
func TestInterestQoSDecidesTheLane(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	y.subscribe("zero", "t/0", 0)
	y.subscribe("one", "t/1", 1)
	x.wantInterest("y", "t/0", true)
	x.wantInterest("y", "t/1", true)
	y.stop()
	x.wantState("y", "connecting")
	x.mustPublish("t/0", 2, "volatile")
	x.mustPublish("t/1", 2, "durable")
	if got := x.backlog("y"); got != 1 {
		t.Errorf("got a backlog of %d, want 1: the QoS 1 subscription's", got)
	}
	if got := x.reg.Drops()[lane.DropLinkDown]; got != 1 {
		t.Errorf("got %d drops by %s, want 1", got, lane.DropLinkDown)
	}
}

// P4
func TestUplinkWaitsOnDisk(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "a") // no core to be found
	a.mustPublish("t", 1, numbered("m", 0, 300)...)
	a.stop()
	a.start()
	if got := a.backlog(""); got != 300 {
		t.Fatalf("got a backlog of %d after reopening, want 300", got)
	}
	a.mustPublish("t", 1, numbered("m", 300, 400)...)
	a.dial(x)
	sub.want(t, numbered("m", 0, 400)...)
	a.drained("x")
	a.stop()
	a.start()
	if got := a.backlog(""); got != 0 {
		t.Errorf("got a backlog of %d after draining and reopening, want 0", got)
	}
}

// A queue longer than what is held in memory.
func TestLongQueueIsReadFromDisk(t *testing.T) {
	const total = 4096 + 3*512 + 7 // more than lane.Queue holds in memory, and some pages
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "a")
	publishMany(a, "t", 0, total)
	a.dial(x)
	publishMany(a, "t", total, total+100)
	sub.want(t, numbered("m", 0, total+100)...)
	a.drained("x")
}

// publishMany publishes numbered messages in batches of 100.
func publishMany(n *node, topic string, from, to int) {
	n.t.Helper()
	for from < to {
		upTo := min(from+100, to)
		done := make(chan error, 100)
		writes := n.st.NewBatch()
		for ; from < upTo; from++ {
			r := mqtt.NewReceipt(writes, func(err error) { done <- err })
			defer func() {
				if err := <-done; err != nil {
					n.t.Error(err)
				}
			}()
			n.lend(&mqtt.Message{Topic: topic, Payload: fmt.Appendf(nil, "m%d", from), QoS: 1}, r)
			r.Close()
		}
		n.st.Commit(writes)
	}
}

func TestReconnectAmidMessages(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.Window = 32 })
	a.dial(x)
	const total = 2000
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // ends with stop; waited for below
		defer close(done)
		seen := 0
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if n := len(sub.payloads()); n > seen {
					seen = n
					x.cut()
				}
			}
		}
	}()
	for i := 0; i < total; i += 50 {
		publishMany(a, "t", i, i+50)
	}
	eventually(t, "most have arrived", func() bool { return len(sub.payloads()) > total/2 })
	close(stop)
	<-done
	sub.want(t, numbered("m", 0, total)...)
	a.drained("x")
	sub.want(t, numbered("m", 0, total)...)
}

// P1, P2
func TestBothEndsRestartAmidMessages(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "a", x)
	const total, round = 900, 100
	for i := 0; i < total; i += round {
		publishMany(a, "t", i, i+round)
		eventually(t, "some have arrived", func() bool { return len(sub.payloads()) > i })
		x.setDeaf(true) // messages may be kept there and not acknowledged
		switch i / round % 3 {
		case 0:
			x.restart(sub)
		case 1:
			a.restart()
			a.dial(x)
		case 2:
			x.restart(sub)
			a.restart()
			a.dial(x)
		}
		x.setDeaf(false)
	}
	sub.want(t, numbered("m", 0, total)...)
	a.drained("x")
	sub.want(t, numbered("m", 0, total)...)
}

func TestRefusedMessageIsTriedAgain(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	sub.setRefuse(mqtt.ErrQuota)
	a.mustPublish("t", 1, numbered("m", 0, 20)...)
	eventually(t, "a was told", func() bool { return a.b.Status()[0].LastError != "" })
	if got := a.b.Status()[0].BacklogMessages; got != 20 {
		t.Errorf("got a backlog of %d, want 20: nothing refused is acknowledged", got)
	}
	sub.setRefuse(nil)
	sub.want(t, numbered("m", 0, 20)...)
	a.drained("x")
}

func TestFullQueueRefusesPublishers(t *testing.T) {
	for _, c := range []struct {
		full    overflow.Policy
		err     error
		want    []string
		dropped uint64
	}{
		{overflow.Refuse, mqtt.ErrQuota, numbered("m", 0, 10), 0},
		{overflow.DropNew, nil, numbered("m", 0, 10), 5},
		{overflow.DropOldest, nil, numbered("m", 5, 15), 5},
	} {
		t.Run(string(c.full), func(t *testing.T) {
			x := newCore(t, "x")
			sub := x.subscribe("s", "#", 1)
			a := newNode(t, RoleEdge, "a", func(cfg *Config) { cfg.MaxQueueMessages, cfg.WhenFull.Default = 10, c.full })
			a.mustPublish("t", 1, numbered("m", 0, 10)...)
			for _, p := range numbered("m", 10, 15) {
				if err := a.publish("t", p, 1, false); !errors.Is(err, c.err) {
					t.Errorf("publish above the bound: got %v, want %v", err, c.err)
				}
			}
			eventually(t, fmt.Sprintf("%d messages are dropped", c.dropped), func() bool {
				return a.reg.Drops()[lane.DropQueueFull] == c.dropped
			})
			a.dial(x)
			sub.want(t, c.want...)
			a.drained("x")
			a.mustPublish("t", 1, "again")
			sub.want(t, append(c.want, "again")...)
		})
	}
}

func TestExpiredMessagesAreNotSent(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	a := newEdge(t, "a")
	soon := time.Now().Add(20 * time.Millisecond)
	for i, expires := range []time.Time{{}, soon, {}, soon} {
		m := &mqtt.Message{Topic: "t", Payload: fmt.Appendf(nil, "m%d", i), QoS: 1, Expires: expires}
		if err := a.publishMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "expiry", func() bool { return time.Now().After(soon) })
	a.dial(x)
	sub.want(t, "m0", "m2")
	a.drained("x")
	if got := a.reg.Drops()[lane.DropExpired]; got != 2 {
		t.Errorf("got %d drops by expiry, want 2", got)
	}
}

func TestTooLargeMessageDoesNotBlock(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.MaxPartBytes = 1 })
	sub := x.subscribe("s", "#", 1)
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.MaxFrameBytes = 10_000 })
	a.dial(x)
	a.mustPublish("t", 1, "before", string(make([]byte, 20_000)), "after")
	sub.want(t, "before", "after")
	a.drained("x")
	if got := a.reg.Drops()[dropTooLarge]; got != 1 {
		t.Errorf("got %d drops, want 1", got)
	}
}

func TestFailover(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	sub := y.subscribe("s", "t", 1)
	x.wantInterest("y", "t", true)
	a := newEdge(t, "a", x, y)
	eventually(t, "a is up", func() bool { return a.b.Status()[0].State == "up" })
	a.mustPublish("t", 1, numbered("m", 0, 50)...)
	first := x
	if a.b.Status()[0].Name == "y" {
		first = y
	}
	sub.want(t, numbered("m", 0, 50)...)
	a.drained(first.name)
	first.setDeaf(true)
	other := map[*node]string{x: "y", y: "x"}[first]
	a.mustPublish("t", 1, numbered("m", 50, 100)...)
	a.wantState(other, "up")
	a.drained(other)
	first.setDeaf(false)
	sub.want(t, numbered("m", 0, 100)...)
}

// A message queued by a gateway whose clock nobody has set goes up with what is left of its time, once the clock is set.
func TestExpiryWithAWallClockThatIsSet(t *testing.T) {
	clock := time.Unix(1000, 0)
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return clock }
	x := newCore(t, "x")
	sub := x.subscribe("s", "t", 1)
	a := newEdge(t, "a")
	a.storage = func(c *store.Config) { c.Now = now }
	a.tweak = func(c *Config) { c.Now = now }
	a.dir = t.TempDir()
	a.restart()
	if err := a.publishMessage(&mqtt.Message{Topic: "t", Payload: []byte("m"), QoS: 1, Expires: now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	a.stop()
	mu.Lock()
	clock = time.Now().Round(0) // the time server has answered
	mu.Unlock()
	a.start()
	a.dial(x)
	sub.want(t, "m")
	if left := time.Until(sub.messages()[0].Expires); left < 59*time.Minute || left > time.Hour {
		t.Errorf("got %v left, want an hour", left)
	}
}
