package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// startMosquitto runs Debian's Mosquitto as the upstream, or skips.
func startMosquitto(t *testing.T) (addr string) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
	}
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	addr = l.Addr().String()
	_, port, _ := strings.Cut(addr, ":")
	l.Close()
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %s %s\nallow_anonymous true\nmax_queued_messages 100000\nlog_type all\n", port, host)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var log lockedBuffer
	cmd := exec.Command(path, "-c", conf)
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start mosquitto: %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // the error says that it has ended already
		cmd.Wait()
		if t.Failed() {
			t.Logf("log of mosquitto:\n%s", tail(log.String(), 60))
		}
	})
	eventually(t, "mosquitto listens", func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return addr
}

// abroad is two edges at one Mosquitto, edge-a's uplink through a proxy that tests can cut.
type abroad struct {
	broker       string
	edgeA, edgeC *node
	uplink       *sim.Proxy
}

func startAbroad(t *testing.T) *abroad {
	t.Helper()
	f := &abroad{broker: startMosquitto(t)}
	f.uplink = startProxy(t, f.broker)
	f.edgeA = startEdge(t, "edge-a", f.uplink.Addr())
	f.edgeC = startEdge(t, "edge-c", f.broker)
	eventually(t, "the edges are connected", func() bool { return f.edgeA.linksUp() == 1 && f.edgeC.linksUp() == 1 })
	return f
}

func TestP8AnyBrokerAsUpstream(t *testing.T) {
	f := startAbroad(t)
	const line = "not a Mangrove node: speaking plain MQTT 5"
	if got := strings.Count(f.edgeA.log.String(), line); got != 1 {
		t.Errorf("edge-a logged %q %d times, want once", line, got)
	}
	pub, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "display")
	local, back := dial(t, f.edgeA.addr(), "local"), dial(t, f.edgeC.addr(), "back")
	local.subscribe("plant/#", 2)
	sub.subscribe("plant/+/temperature", 2)
	back.subscribe("plant/1/#", 1)
	throughFrom(t, pub, sub, "plant/1/temperature")
	local.settle(t, pub, "plant/1/temperature")
	sub.want("the same", "plant/1/temperature", "settled")
	for _, qos := range []byte{0, 1, 2} {
		prefix := string('0' + rune(qos))
		pub.publishNumbered("plant/1/temperature", prefix, 0, 20, qos)
		sub.wantNumbered("through mosquitto", "plant/1/temperature", prefix, 0, 20)
		local.wantNumbered("at the edge itself", "plant/1/temperature", prefix, 0, 20)
	}
	sub.wantNothingBefore("nothing came twice", pub, "plant/1/temperature", "end")
	local.want("nothing looped back", "plant/1/temperature", "end")
	pub.publish("$app/private", "stays", 1, false)
	foreign := dial(t, f.broker, "foreign")
	foreign.publish("plant/2/temperature", "from outside", 1, false)
	local.want("a client of the broker reaches edge-a", "plant/2/temperature", "from outside")
	sub.want("and edge-c", "plant/2/temperature", "from outside")
	if got := linkReceived(t, f.edgeA); got != 1 {
		t.Errorf("edge-a received %d messages from the broker, want 1: its own do not come back", got)
	}
}

// settle takes messages until a marker that comes after all that was published before.
func (c *client) settle(t *testing.T, pub *client, topic string) {
	t.Helper()
	pub.publish(topic, "settled", 1, false)
	for {
		select {
		case m := <-c.messages:
			if string(m.Payload) == "settled" {
				return
			}
		case <-afterWait():
			t.Fatalf("the marker on %s did not come", topic)
		}
	}
}

func TestP8RetainedThroughAnyBroker(t *testing.T) {
	f := startAbroad(t)
	pub := dial(t, f.edgeA.addr(), "sensor")
	pub.publish("site/a/config", "v1", 1, true)
	eventually(t, "edge-a's queue is empty", func() bool { return f.edgeA.backlog() == 0 })
	sub := dial(t, f.edgeC.addr(), "display")
	sub.subscribe("site/+/config", 1)
	sub.want("retained by the broker", "site/a/config", "v1")
	late := dial(t, f.edgeC.addr(), "later")
	late.subscribe("site/#", 1)
	if m := late.want("retained is at the edge now", "site/a/config", "v1"); !m.Retain {
		t.Errorf("got RETAIN 0, want 1")
	}
	pub.publish("site/a/config", "", 1, true)
	sub.want("cleared", "site/a/config", "")
	late.want("cleared", "site/a/config", "")
	last := dial(t, f.edgeC.addr(), "last")
	last.subscribe("site/#", 1)
	sub.wantNothingBefore("nothing came twice", pub, "site/a/config", "end")
	last.want("nothing is retained any more", "site/a/config", "end")
}

func TestP8UpstreamCutWhilePublishing(t *testing.T) {
	f := startAbroad(t)
	pub, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")
	pub.publishNumbered("t", "m", 0, 100, 1)
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	pub.publishNumbered("t", "m", 100, 300, 1)
	if got := f.edgeA.backlog(); got < 200 {
		t.Errorf("got a backlog of %d messages, want at least the 200 published since the cut", got)
	}
	f.uplink.Heal()
	sub.wantNumbered("the queue drains in order, nothing twice", "t", "m", 0, 300)
	eventually(t, "the queue is empty", func() bool { return f.edgeA.backlog() == 0 })
}

// The connection is reset again and again while messages are under way: each is sent until it is acknowledged, and
// recognised at edge-c when it comes again.
func TestP8UpstreamResetManyTimes(t *testing.T) {
	f := startAbroad(t)
	pub, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")
	for i := range 10 {
		pub.publishNumbered("t", "m", 50*i, 50*i+50, 1)
		f.uplink.Reset()
	}
	sub.wantNumbered("each once, in order", "t", "m", 0, 500)
	sub.wantNothingBefore("nothing came twice", pub, "t", "end")
}

func TestP8KeptWhenTheEdgeIsKilledBeforeForwarding(t *testing.T) {
	f := startAbroad(t)
	pub, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	pub.publishNumbered("t", "m", 0, 100, 1)
	f.edgeA.kill()
	f.uplink.Heal()
	f.edgeA.restart()
	sub.wantNumbered("what the killed edge had acknowledged", "t", "m", 0, 100)
}

// An edge that is killed while its queue drains sends again what it does not know to be acknowledged; edge-c
// recognises it.
func TestP8KilledWhileTheQueueDrains(t *testing.T) {
	f := startAbroad(t)
	pub, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "display")
	sub.subscribe("t", 1)
	throughFrom(t, pub, sub, "t")
	f.uplink.Cut(sim.Fault{Reset: true, Refuse: true})
	pub.publishNumbered("t", "m", 0, 500, 1)
	f.uplink.SetRate(100_000)
	f.uplink.Heal()
	for _, n := range []int{100, 250, 400} {
		eventually(t, "a part has arrived", func() bool { return len(sub.messages) >= n })
		f.edgeA.kill()
		f.edgeA.restart()
	}
	sub.wantNumbered("each once, in order", "t", "m", 0, 500)
	eventually(t, "the queue is empty", func() bool { return f.edgeA.backlog() == 0 })
}

// Messages wait at the broker for an edge that is away, and none is lost that it had taken but not kept.
func TestP8KeptForAnEdgeThatIsAway(t *testing.T) {
	f := startAbroad(t)
	pub, probe, sub := dial(t, f.edgeA.addr(), "sensor"), dial(t, f.edgeC.addr(), "probe"), dial(t, f.edgeC.addr(), "display")
	probe.subscribe("t", 1)
	throughFrom(t, pub, probe, "t")
	sub.subscribe("t", 1) // it has acknowledged nothing: that could come again after the kill, at QoS 1
	probe.end()
	sub.disconnect()
	f.edgeC.left(0)
	pub.publishNumbered("t", "m", 0, 100, 1)
	f.edgeC.kill()
	pub.publishNumbered("t", "m", 100, 200, 1)
	f.edgeC.restart()
	if !sub.connect() {
		t.Error("edge-c does not know the session of its client any more")
	}
	sub.wantNumbered("kept by edge-c or by the broker", "t", "m", 0, 200)
}

// One uplink, a Mangrove core and a plain broker: the edge speaks to each what it understands.
func TestP8FailoverBetweenCoreAndPlainBroker(t *testing.T) {
	broker, core := startProxy(t, startMosquitto(t)), startCore(t, "core-1")
	toCore := startProxy(t, core.addr())
	edge := startEdge(t, "edge-a", broker.Addr()+","+toCore.Addr())
	speaks := func(protocol string) func() bool {
		return func() bool {
			return edge.linksUp() == 1 && bytes.Contains(edge.get("/api/v1/status"), []byte(`"protocol": "`+protocol+`"`))
		}
	}
	for range 2 {
		toCore.Cut(sim.Fault{Reset: true, Refuse: true})
		eventually(t, "the edge speaks plain MQTT", speaks("mqtt"))
		toCore.Heal()
		broker.Cut(sim.Fault{Reset: true, Refuse: true})
		eventually(t, "the edge is linked to the core", speaks("mangrove"))
		broker.Heal()
	}
}
