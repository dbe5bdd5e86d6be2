package bridge

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// retain publishes a retained message as a client would, in a millisecond of its own: versions tell no less apart.
func (n *node) retain(topic, payload string) {
	n.t.Helper()
	time.Sleep(2 * time.Millisecond)
	if err := n.publish(topic, payload, 1, true); err != nil {
		n.t.Fatalf("publish at %s: %v", n.name, err)
	}
}

// holds lists what n retains.
func (n *node) holds() map[string]string {
	held := map[string]string{}
	n.retained.Match("#", time.Now(), func(m *mqtt.Message) bool {
		held[m.Topic] = string(m.Payload)
		return true
	})
	return held
}

// wantHeld waits until n retains this and nothing else: "topic=payload" each.
func (n *node) wantHeld(want ...string) {
	n.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		got = nil
		for topic, payload := range n.holds() {
			got = append(got, topic+"="+payload)
		}
		if slices.Sort(got); slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			n.t.Fatalf("%s holds %v, want %v", n.name, got, want)
		}
	}
}

// snapshot is the image of n's folder as of now.
func (n *node) snapshot() string {
	n.t.Helper()
	n.stop()
	image := n.image()
	n.start()
	return image
}

// restore puts an image in place of the data folder; "" = an empty one.
func (n *node) restore(image string) {
	n.t.Helper()
	if image == "" {
		image = n.t.TempDir()
	}
	n.putBack(image)
}

// What is cleared or replaced elsewhere is so at the edge where it was published too, though nobody there subscribes. [promise P9]
func TestEdgeHearsOfWhatItPublished(t *testing.T) {
	x := newCore(t, "x")
	a, b := newEdge(t, "a", x), newEdge(t, "b", x)
	for _, topic := range []string{"cleared", "replaced", "at core"} {
		a.retain(topic, "a's")
	}
	x.wantHeld("at core=a's", "cleared=a's", "replaced=a's")
	b.retain("cleared", "")
	b.retain("replaced", "b's")
	x.retain("at core", "")
	for _, n := range []*node{a, x} {
		n.wantHeld("replaced=b's")
	}
	a.retain("replaced", "a's again")
	for _, n := range []*node{a, x, b} {
		n.wantHeld("replaced=a's again")
	}
	x.restart() // who holds what is learnt anew
	a.dial(x)
	b.dial(x)
	a.wantState("x", "up")
	b.wantState("x", "up")
	eventually(t, "the ends have compared", func() bool { return len(x.b.holders.keysOf(x.b.lookup("a"))) == 1 })
	b.retain("replaced", "")
	for _, n := range []*node{a, x, b} {
		n.wantHeld()
	}
}

// So does an edge when that happens at another core. [promise P9]
func TestEdgeHearsOfWhatItPublishedFromAnotherCore(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	a := newEdge(t, "a", x)
	a.retain("cleared", "a's")
	a.retain("replaced", "a's")
	y.wantHeld("cleared=a's", "replaced=a's")
	y.retain("cleared", "")
	y.retain("replaced", "y's")
	since := time.Now()
	a.wantHeld("replaced=y's")
	if took := time.Since(since); took > 5*time.Second {
		t.Errorf("it took %v: the ends have compared what they hold, nobody has told", took)
	}
}

// An edge that was offline does not put its older message in place of a newer one; who subscribes gets it as a message that is not
// retained. [promise P9]
func TestOfflineEdgeDoesNotOverwrite(t *testing.T) {
	x := newCore(t, "x")
	a, b := newEdge(t, "a", x), newEdge(t, "b", x)
	sub := b.subscribe("s", "#", 1)
	a.retain("t", "first")
	sub.want(t, "first")
	x.setDeaf(true)
	eventually(t, "a is offline", func() bool { return a.b.Status()[0].State != "up" })
	a.retain("t", "late")
	a.retain("gone", "late")
	x.retain("t", "newer")
	x.retain("gone", "newer")
	x.retain("gone", "")
	x.setDeaf(false)
	for _, n := range []*node{a, x, b} {
		n.wantHeld("t=newer")
	}
	eventually(t, "the late messages came", func() bool { return slices.Contains(payloads(sub.messages()), "late") })
	for _, m := range sub.messages() {
		if string(m.Payload) == "late" && m.Retain {
			t.Error("the late message has RETAIN")
		}
	}
}

func payloads(messages []*mqtt.Message) (all []string) {
	for _, m := range messages {
		all = append(all, string(m.Payload))
	}
	return all
}

// A partition between cores swaps no messages. [promise P9]
func TestPartitionedCoresAgree(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	y.setDeaf(true)
	x.wantState("y", "connecting")
	x.retain("1", "x")
	y.retain("1", "y")
	y.retain("2", "y")
	x.retain("2", "x")
	x.retain("3", "x")
	y.retain("3", "")
	y.setDeaf(false)
	for _, n := range cores {
		n.wantHeld("1=y", "2=x")
	}
}

// A core that was wiped gets back what its edges hold, and a restored one what is newer elsewhere. [promise P9]
func TestCorePutBack(t *testing.T) {
	x := newCore(t, "x")
	a, b := newEdge(t, "a", x), newEdge(t, "b", x)
	sub := b.subscribe("s", "in/#", 1)
	a.retain("out/1", "1")
	a.retain("in/1", "1")
	sub.want(t, "1")
	x.retain("in/2", "old")
	sub.want(t, "1", "old")
	x.drained("b")
	a.drained("")
	image := x.snapshot()
	a.dial(x)
	x.wantState("a", "up")
	x.wantState("b", "up")
	a.retain("out/1", "2")
	a.retain("in/1", "")
	b.retain("in/2", "new")
	x.wantHeld("in/2=new", "out/1=2")
	a.drained("")
	b.drained("")
	for name, image := range map[string]string{"restored": image, "wiped": ""} {
		x.restore(image)
		x.wantHeld("in/2=new", "out/1=2")
		a.wantHeld("out/1=2")
		b.wantHeld("in/2=new")
		t.Log(name)
	}
}

// A core that was wiped gets from another what an edge had cleared, and hears of that from the edge: it is the only one that knows. The
// edge may have compared with the core before. [promise P9]
func TestClearedAtEdgeOfWipedCore(t *testing.T) {
	for name, filter := range map[string]string{"subscribed": "#", "not subscribed": ""} {
		t.Run(name, func(t *testing.T) {
			cores := newCores(t, "x", "y")
			x, y := cores[0], cores[1]
			a := newEdge(t, "a", y)
			if filter != "" {
				a.subscribe("s", filter, 1)
			}
			a.retain("t", "a's")
			x.wantHeld("t=a's")
			a.drained("")
			x.stop()
			a.retain("t", "")
			y.wantHeld()
			a.drained("")
			compared := a.b.metrics.compared.Get()
			y.restore("")
			eventually(t, "the edge has compared with the new core", func() bool { return a.b.metrics.compared.Get() > compared })
			time.Sleep(20 * time.Millisecond) // one turn each, and it is over
			x.start()
			join(x, y)
			y.wantState("x", "up")
			eventually(t, "y has got it from x", func() bool { return y.b.metrics.healed.Get() > 0 })
			for _, n := range []*node{a, x, y} {
				n.wantHeld()
			}
		})
	}
}

// An edge that was restored gets what it had published since, and does not bring back what is gone. [promise P9]
func TestEdgePutBack(t *testing.T) {
	x := newCore(t, "x")
	a := newEdge(t, "a", x)
	a.retain("1", "old")
	a.retain("2", "old")
	a.retain("3", "same")
	a.drained("")
	image := a.snapshot()
	a.dial(x)
	a.retain("1", "new")
	a.retain("2", "")
	a.retain("4", "new")
	x.wantHeld("1=new", "3=same", "4=new")
	a.drained("")
	a.restore(image)
	a.dial(x)
	for _, n := range []*node{a, x} {
		n.wantHeld("1=new", "3=same", "4=new")
	}
}

// What an edge does not want any more, and has not published, it lets go: it would not hear of a change. [promise P9]
func TestEdgeLetsGo(t *testing.T) {
	x := newCore(t, "x")
	b := newEdge(t, "b", x)
	sub := b.subscribe("s", "t/#", 1)
	x.retain("t/1", "old")
	x.retain("t/2", "stays")
	sub.want(t, "old", "stays")
	b.router.Unsubscribe(sub, "t/#")
	b.wantHeld()
	again := b.subscribe("again", "t/1", 1)
	again.want(t, "old") // though it had come before
	b.router.Unsubscribe(again, "t/1")
	b.wantHeld()
	x.retain("t/1", "")
	again = b.subscribe("again", "t/2", 1)
	again.want(t, "stays")
	b.wantHeld("t/2=stays")
}

// What was lost on the way to a neighbour that stays linked is noticed too.
func TestDropIsHealed(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	x.retain("t", "old")
	y.wantHeld("t=old")
	y.retained.LetGo(func(string) bool { return false })
	x.b.lookup("y").doubt()
	y.wantHeld("t=old")
}

// A clock that is far ahead is told of and does not lead the others; what it stamped can be replaced at once. [promise P9]
func TestClockFarAhead(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	x.stop()
	x.clock = func() time.Time { return time.Now().Add(240 * time.Hour) }
	x.start()
	join(x, y)
	x.wantState("y", "up")
	x.retain("t", "ahead")
	y.wantHeld("t=ahead")
	eventually(t, "y knows that x's clock is ahead", func() bool { return y.b.lookup("x").ahead.Load() })
	y.retain("t", "y's")
	y.retain("other", "y's")
	for _, n := range cores {
		n.wantHeld("other=y's", "t=y's")
	}
	if got := hlc.At(y.retained.Clock()); got > hlc.At(time.Now().Add(time.Minute).UnixMilli()) {
		t.Errorf("y goes by %v", time.UnixMilli(got.Milli()))
	}
}

// A core tells of an edge whose clock is far ahead, and follows none that is a little ahead; the edge follows the core.
func TestEdgeWithClockAhead(t *testing.T) {
	x := newCore(t, "x")
	for _, off := range []time.Duration{30 * time.Minute, 240 * time.Hour} {
		a := newNode(t, RoleEdge, fmt.Sprint("a", off), nil)
		a.stop()
		a.clock = func() time.Time { return time.Now().Add(off) }
		a.start()
		a.dial(x)
		x.wantState(a.name, "up")
		eventually(t, "x has heard its clock", func() bool { return x.b.lookup(a.name).ahead.Load() == (off > hlc.Ahead) })
		if got := x.retained.Clock() - time.Now().UnixMilli(); got > 1000 {
			t.Errorf("with an edge ahead by %v: x goes by a time that is %d ms ahead", off, got)
		}
		eventually(t, "the edge goes by x", func() bool { return a.retained.Clock()-time.Now().UnixMilli() < hlc.Ahead.Milliseconds() })
	}
}

// An edge without a clock goes by its core's.
func TestEdgeWithoutClock(t *testing.T) {
	x := newCore(t, "x")
	x.retain("t", "before")
	a := newNode(t, RoleEdge, "a", nil)
	a.stop()
	begin := time.Now()
	a.clock = func() time.Time { return time.Unix(100, 0).Add(time.Since(begin)) }
	a.start()
	a.dial(x)
	a.wantState("x", "up")
	a.retain("t", "after")
	x.wantHeld("t=after")
}

// A node of the version before is sent what it knows: no new frames, no version, and deadlines as time of day.
func TestNeighbourOfTheVersionBefore(t *testing.T) {
	x := newCore(t, "x")
	r := openRaw(t, x, "e")
	r.send(frame.KindHello, edgeHello("e"))
	r.send(frame.KindInterest, frame.Interest{First: true, Last: true, Entries: []frame.Want{{Filter: "#", QoS: 1}}}.Append(nil))
	x.wantInterest("e", "#", true)
	expires := time.Now().Add(time.Minute)
	if err := x.publishMessage(&mqtt.Message{Topic: "t", Payload: []byte("v"), QoS: 1, Retain: true, Expires: expires}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is sent", func() bool { return r.frames(frame.KindData) == 1 })
	data, err := frame.DecodeData(r.got[frame.KindData][0], x.b.compressor)
	if err != nil || len(data.Items) != 1 {
		t.Fatalf("got %+v, %v, want one message", data, err)
	}
	m, _, err := mqtt.DecodeMessage(data.Items[0].Body)
	if err != nil || data.Items[0].Body[0] > 0x1F || m.Version != 0 || m.Expires.Sub(expires).Abs() > time.Second {
		t.Errorf("got %+v, %v, flags %x", m, err, data.Items[0].Body[0])
	}
	x.retain("forever", "v")
	eventually(t, "it is sent", func() bool { return r.frames(frame.KindData) == 2 })
	data, err = frame.DecodeData(r.got[frame.KindData][1], x.b.compressor)
	if err != nil || len(data.Items) != 1 || data.Items[0].Body[0] > 0x1F {
		t.Errorf("without expiry: got %+v, %v", data, err)
	}
	x.b.lookup("e").doubt()
	time.Sleep(10 * DefaultHealQuiet / 100)
	if got := r.frames(frame.KindRetained); got != 0 {
		t.Errorf("got %d RETAINED frames, want none", got)
	}
}

// Whatever is published, cleared, cut, restarted and restored, with whatever clocks: when all is quiet again, all nodes that hold a topic
// hold the same. MANGROVE_FAULTS=long plays a hundred such stories instead of a few. [promise P9]
func TestFleetAgrees(t *testing.T) {
	stories := 6
	if os.Getenv("MANGROVE_FAULTS") == "long" {
		stories = 100
	}
	rapid.Check(t, func(rt *rapid.T) {
		if stories--; stories < 0 {
			return
		}
		cores := newCores(t, "x", "y")
		fleet := append(slices.Clone(cores), newEdge(t, "a", cores[0]), newEdge(t, "b", cores[1]))
		reconnect(fleet)
		images := map[*node]string{}
		var log []string
		for step := range rapid.IntRange(5, 25).Draw(rt, "steps") {
			n := rapid.SampledFrom(fleet).Draw(rt, "node")
			kind := rapid.IntRange(0, 11).Draw(rt, "kind")
			topic := fmt.Sprint("t/", rapid.IntRange(0, 3).Draw(rt, "topic"))
			log = append(log, fmt.Sprint(n.name, " ", kind, " ", topic))
			switch kind {
			case 0:
				n.setDeaf(true)
			case 1:
				n.setDeaf(false)
			case 2:
				images[n] = n.snapshot()
				reconnect(fleet)
			case 3:
				n.restore(images[n])
				reconnect(fleet)
			case 4:
				off := time.Duration(rapid.IntRange(-300, 300).Draw(rt, "hours")) * time.Hour
				n.clock = func() time.Time { return time.Now().Add(off) }
			case 5, 6, 7:
				n.retain(topic, "")
			default:
				n.retain(topic, fmt.Sprint(n.name, step))
			}
		}
		for _, n := range fleet {
			n.setDeaf(false)
		}
		reconnect(fleet)
		if why := disagreement(fleet); why != "" {
			stories = 1000 // for rapid to find a shorter one
			rt.Fatalf("%s\nafter %s", why, strings.Join(log, ", "))
		}
		for _, n := range fleet {
			n.stop()
		}
	})
}

// reconnect links the nodes of TestFleetAgrees, and has the edges' clients subscribe.
func reconnect(fleet []*node) {
	fleet[2].subscribe("s", "t/1", 1)
	fleet[3].subscribe("s", "#", 1)
	join(fleet[0], fleet[1])
	fleet[2].dial(fleet[0])
	fleet[3].dial(fleet[1])
}

// disagreement waits until all agree, and says what they do not agree about when they do not.
func disagreement(fleet []*node) (why string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if why = differences(fleet); why == "" || time.Now().After(deadline) {
			return why
		}
	}
}

func differences(fleet []*node) string {
	all := fleet[0].holds()
	for _, n := range fleet[1:] {
		for topic, payload := range n.holds() {
			if all[topic] != payload {
				return fmt.Sprintf("%s=%s at %s, %q at %s", topic, payload, n.name, all[topic], fleet[0].name)
			}
		}
	}
	for topic, payload := range all {
		for _, n := range fleet[1:] {
			if wants := n.role == RoleCore || n.name == "b" || topic == "t/1"; wants && n.holds()[topic] != payload {
				return fmt.Sprintf("%s=%s at %s, %q at %s", topic, payload, fleet[0].name, n.holds()[topic], n.name)
			}
		}
	}
	return ""
}
