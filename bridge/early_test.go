package bridge

import (
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/sim"
	"mangrove/internal/store"
	"mangrove/internal/wal/waltest"
	"mangrove/mqtt"
)

// settled returns when all that was committed is stable, and told.
func settled(t testing.TB, st *store.Store) {
	t.Helper()
	b := new(batch.Batch)
	b.Delete(batch.LinkQueues, []byte("nothing"))
	commit(t, st, b)
}

// The core's acknowledgement spares the edge the write, and its publisher the wait for a slow disk; what the core does not
// acknowledge in time is written.
func TestAcknowledgedByTheCoreBeforeItIsWritten(t *testing.T) {
	disk := sim.NewDisk()
	x := newCore(t, "x")
	h := &holder{testClient: testClient{id: "holder"}}
	x.router.Subscribe(h, mqtt.Subscription{Filter: "held", QoS: 1})
	x.subscribe("all", "t", 1)
	a := newNode(t, RoleEdge, "a", func(c *Config) { c.EarlyPatience = time.Hour })
	a.storage = func(c *store.Config) { c.Faults = &store.Faults{Log: waltest.Files{Disk: disk}} }
	a.dir = t.TempDir()
	a.restart()
	a.dial(x)
	eventually(t, "a is linked", func() bool { return a.b.Status()[0].State == "up" })
	settled(t, a.st)
	before := disk.Calls().Writes
	release := disk.Hold()
	defer release()
	a.mustPublish("t", 1, numbered("m", 0, 20)...) // with a disk that is stuck
	release()
	a.drained("x")
	if got := disk.Calls().Writes; got != before {
		t.Errorf("got %d writes at the edge, want none", got-before)
	}
	if got := a.reg.Counter("mangrove_link_messages_early_total").Get(); got != 20 {
		t.Errorf("got %d messages sent early, want 20", got)
	}

	a.tweak = func(c *Config) { c.EarlyPatience = time.Millisecond }
	a.restart()
	a.dial(x)
	kept := make(chan error, 1)
	go func() { kept <- a.publish("held", "slow core", 1, false) }() // ends with the publish
	h.want(t, "slow core")
	if err := <-kept; err != nil {
		t.Errorf("got %v, want it kept at the edge", err)
	}
	if got := a.backlog("x"); got != 1 {
		t.Errorf("got a backlog of %d, want 1", got)
	}
	h.release(nil)
	a.drained("x")
}
