package bridge

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"sync"
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// holder keeps messages elsewhere and says so when it is told to.
type holder struct {
	testClient
	hmu  sync.Mutex
	held []*mqtt.Receipt
}

func (h *holder) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	h.testClient.Deliver(m, d, r)
	r.Hold()
	h.hmu.Lock()
	h.held = append(h.held, r)
	h.hmu.Unlock()
}

func (h *holder) release(err error) (n int) {
	h.hmu.Lock()
	defer h.hmu.Unlock()
	n = len(h.held)
	for _, r := range h.held {
		r.Release(err)
	}
	h.held = nil
	return n
}

// settle ends the wait for the message that came as the n-th, from 0.
func (h *holder) settle(n int, err error) {
	h.hmu.Lock()
	defer h.hmu.Unlock()
	h.held[n].Release(err)
}

func (h *holder) holds() int {
	h.hmu.Lock()
	defer h.hmu.Unlock()
	return len(h.held)
}

// P1: what is not kept yet is not acknowledged; what could not be kept comes again.
func TestAcknowledgedOnlyWhenKept(t *testing.T) {
	x := newCore(t, "x")
	h := &holder{testClient: testClient{id: "holder"}}
	x.router.Subscribe(h, mqtt.Subscription{Filter: "#", QoS: 1})
	a := newEdge(t, "a", x)
	a.mustPublish("t", 1, numbered("m", 0, 5)...)
	h.want(t, numbered("m", 0, 5)...)
	if got := a.backlog("x"); got != 5 {
		t.Errorf("got a backlog of %d while nothing is kept, want 5", got)
	}
	h.release(errors.New("no room there"))
	eventually(t, "they come again", func() bool { return len(h.payloads()) >= 10 })
	eventually(t, "they are acknowledged", func() bool { h.release(nil); return a.backlog("x") == 0 })
}

// encodeData is a DATA frame of items that are at hand.
func encodeData(f frame.Data, c *frame.Compressor) []byte {
	var items []byte
	first := f.Items[0].Position
	last := first
	for _, it := range f.Items {
		items = frame.AppendItem(items, last, it)
		last = it.Position
	}
	return frame.AppendData(nil, f.Lane, f.Edge, first, len(f.Items), items, c)
}

// P1: a repeat counts on its first copy. When that is refused after all, the frame with the repeat is not acknowledged.
func TestRepeatOfWhatIsRefused(t *testing.T) {
	x := newCore(t, "x")
	h := &holder{testClient: testClient{id: "holder"}}
	x.router.Subscribe(h, mqtt.Subscription{Filter: "#", QoS: 1})
	data := func(seqs ...uint64) []byte {
		f := frame.Data{Lane: frame.LaneDurable}
		for i, seq := range seqs {
			m := &mqtt.Message{Topic: "t", Payload: fmt.Append(nil, seq), QoS: 1, Origin: mqtt.Origin{Life: 77, Seq: seq}}
			f.Items = append(f.Items, frame.Item{Position: uint64(i + 1), Body: mqtt.AppendMessage(nil, m)})
		}
		return encodeData(f, x.b.compressor)
	}
	first, second := openRaw(t, x, "e"), openRaw(t, x, "f")
	for name, r := range map[string]*rawLink{"e": first, "f": second} {
		h := frame.Hello{Name: name, Store: uint64(name[0]), Role: frame.RoleEdge, Attach: 1, Window: 10, WindowBytes: 1 << 20, MaxBytes: 1 << 20}
		r.send(frame.KindHello, h.Append(nil))
		x.wantState(name, "up")
	}
	first.send(frame.KindData, data(1))
	second.send(frame.KindData, data(1, 2)) // 1 is a repeat
	if got := h.holds(); got != 2 {
		t.Fatalf("got %d messages on their way to the disk, want 2", got)
	}
	h.settle(0, errors.New("no room there"))
	h.settle(1, nil)
	eventually(t, "both are told to come again", func() bool { return first.isGone() && second.isGone() })
	if first.frames(frame.KindAck)+second.frames(frame.KindAck) > 0 || second.frames(frame.KindGoaway) != 1 {
		t.Errorf("got %d and %d acknowledgements, %d times goodbye, want none, none and once",
			first.frames(frame.KindAck), second.frames(frame.KindAck), second.frames(frame.KindGoaway))
	}
}

// P6: a core whose disk is full takes nothing more, and goes on where it was when there is room.
func TestReceiverWithFullDisk(t *testing.T) {
	x := newCore(t, "x")
	limit := 0
	x.storage = func(c *store.Config) { c.MaxFileBytes = limit }
	limit = 1 << 20
	x.restart()
	keep := &testClient{id: "keep"}
	x.router.Subscribe(keep, mqtt.Subscription{Filter: "#", QoS: 1})
	a := newEdge(t, "a", x)
	const total = 300
	large := make([]byte, 8<<10)
	for i := range total {
		a.mustPublish("t", 1, fmt.Sprintf("%d%s", i, large))
	}
	eventually(t, "the disk of x is full", func() bool { return a.b.Status()[0].LastError != "" })
	if got := a.b.Status()[0].BacklogMessages; got == 0 {
		t.Fatal("got no backlog, want what x has no room for")
	}
	x.setDeaf(true)
	x.stop()
	limit = 0
	x.start()
	x.router.Subscribe(keep, mqtt.Subscription{Filter: "#", QoS: 1})
	x.setDeaf(false)
	a.drained("x")
	// What a refused batch had given to keep in memory comes again: count what is on disk, as sessions do.
	kept := map[string]int{}
	if err := x.st.Scan(batch.Queues, nil, nil, func(_, v []byte) bool {
		var i int
		if _, err := fmt.Sscanf(string(v), "%d", &i); err != nil {
			t.Error(err)
		}
		kept[fmt.Sprint(i)]++
		return true
	}); err != nil {
		t.Fatal(err)
	}
	for i := range total {
		if n := kept[fmt.Sprint(i)]; n != 1 {
			t.Errorf("message %d is kept %d times, want once", i, n)
		}
	}
}

// rawLink speaks frames to a core by hand.
type rawLink struct {
	t    *testing.T
	end  mqtt.LinkEnd
	mu   sync.Mutex
	got  map[string][][]byte
	gone bool
}

func (r *rawLink) Frame(kind string, body []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return net.ErrClosed
	}
	r.got[kind] = append(r.got[kind], append([]byte(nil), body...))
	return nil
}

func (r *rawLink) Moved() (transport.Moved, bool) { return transport.Moved{}, false }

func (r *rawLink) Close(packet.ReasonCode) {
	r.mu.Lock()
	r.gone = true
	r.mu.Unlock()
}

func (r *rawLink) frames(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.got[kind])
}

// last is the latest frame of a kind.
func (r *rawLink) last(kind string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got[kind][len(r.got[kind])-1]
}

func (r *rawLink) isGone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone
}

func openRaw(t *testing.T, n *node, name string) *rawLink {
	t.Helper()
	r := &rawLink{t: t, got: map[string][][]byte{}}
	end, err := n.b.Accept(&mqtt.Client{ID: name}, Versions, r)
	if err != nil {
		t.Fatal(err)
	}
	r.end = end
	t.Cleanup(func() { end.Closed(nil) })
	return r
}

func (r *rawLink) send(kind string, body []byte) {
	r.t.Helper()
	if err := r.end.Frame(kind, body); err != nil {
		r.t.Fatal(err)
	}
}

func edgeHello(name string) []byte {
	h := frame.Hello{Name: name, Store: 99, Role: frame.RoleEdge, Attach: 1, Window: 10, WindowBytes: 1 << 20, MaxBytes: 1 << 20}
	return h.Append(nil)
}

func TestFramesThatEndTheLink(t *testing.T) {
	x := newCore(t, "x")
	ack := frame.Ack{Lane: 1}.Append(nil)
	for _, c := range []struct {
		name string
		send func(*rawLink)
	}{
		{"frame before HELLO", func(r *rawLink) { r.send(frame.KindAck, ack) }},
		{"HELLO twice", func(r *rawLink) { r.send(frame.KindHello, edgeHello("e")); r.send(frame.KindHello, edgeHello("e")) }},
		{"another name than in CONNECT", func(r *rawLink) { r.send(frame.KindHello, edgeHello("f")) }},
		{"garbage", func(r *rawLink) { r.send(frame.KindHello, edgeHello("e")); r.send(frame.KindData, []byte{1, 2, 3}) }},
		{"empty DATA", func(r *rawLink) {
			r.send(frame.KindHello, edgeHello("e"))
			r.send(frame.KindData, []byte{1, 0, 1, 0, 1, 0, 0})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := openRaw(t, x, "e")
			c.send(r)
			eventually(t, "goodbye and the end", func() bool { return r.frames(frame.KindGoaway) == 1 && r.isGone() })
		})
	}
}

func TestUnknownFramesAreSkipped(t *testing.T) {
	x := newCore(t, "x")
	r := openRaw(t, x, "e")
	r.send("later", []byte("before HELLO"))
	r.send(frame.KindHello, edgeHello("e"))
	r.send("later", []byte("after HELLO"))
	x.wantState("e", "up")
	f := frame.Data{Lane: frame.LaneDurable, Items: []frame.Item{{Position: 7, Kind: 99, Body: []byte("?")}}}
	r.send(frame.KindData, encodeData(f, x.b.compressor))
	eventually(t, "it is acknowledged", func() bool { return r.frames(frame.KindAck) == 1 })
}

// Answers say when what they answer came, so that the other node can tell its own data on the line from ours.
func TestAnswersSayWhenAFrameCame(t *testing.T) {
	x := newCore(t, "x")
	r := openRaw(t, x, "e")
	begun := time.Now()
	r.send(frame.KindHello, edgeHello("e"))
	x.wantState("e", "up")
	position := uint64(0)
	eventually(t, "ACK and HELD say so", func() bool {
		position++
		f := frame.Data{Lane: frame.LaneDurable, Items: []frame.Item{{Position: position, Kind: 99, Body: []byte("?")}}}
		r.send(frame.KindData, encodeData(f, x.b.compressor))
		r.send(frame.KindFragment, frame.Fragment{Lane: frame.LaneDurable, Name: position, Size: 9, Bytes: []byte("part")}.Append(nil))
		if r.frames(frame.KindAck) == 0 || r.frames(frame.KindHeld) == 0 {
			return false
		}
		ack, errA := frame.DecodeAck(r.last(frame.KindAck))
		held, errH := frame.DecodeHeld(r.last(frame.KindHeld))
		most := time.Since(begun) + time.Second
		return errA == nil && errH == nil && ack.Came > 0 && held.Came > 0 && max(ack.Came, held.Came) < most
	})
}

// Messages that are none, or may not cross, are dropped and counted; the others go on.
func TestMessagesThatMayNotCross(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "#", 1)
	r := openRaw(t, x, "e")
	r.send(frame.KindHello, edgeHello("e"))
	body := func(topic string, origin uint64) []byte {
		return mqtt.AppendMessage(nil, &mqtt.Message{Topic: topic, Payload: []byte(topic), QoS: 1, Origin: mqtt.Origin{Life: origin, Seq: 1}})
	}
	f := frame.Data{Lane: frame.LaneDurable, Items: []frame.Item{
		{Position: 1, Body: []byte{0xFF}},
		{Position: 2, Body: body("$SYS/x", 99)},
		{Position: 3, Body: body("a/+", 99)},
		{Position: 4, Body: body("t", 0)},
		{Position: 5, Body: append(body("t", 99), 0)},
		{Position: 6, Body: body("t", x.st.ID())},
		{Position: 7, Body: body("good", 99)},
	}}
	r.send(frame.KindData, encodeData(f, x.b.compressor))
	sub.want(t, "good")
	eventually(t, "they are acknowledged", func() bool { return r.frames(frame.KindAck) == 1 })
	if got := x.reg.Drops()[dropInvalid]; got != 5 {
		t.Errorf("got %d drops, want 5", got)
	}
}

func TestNoHello(t *testing.T) {
	x := newNode(t, RoleCore, "x", func(c *Config) { c.Handshake = 10 * time.Millisecond })
	r := openRaw(t, x, "e")
	eventually(t, "the link is closed", r.isGone)
}

func TestAcceptRefuses(t *testing.T) {
	x, a := newCore(t, "x"), newEdge(t, "a")
	if _, err := x.b.Accept(&mqtt.Client{ID: "e"}, "2-3", &rawLink{}); err == nil {
		t.Error("versions 2-3: got no error")
	}
	if _, err := a.b.Accept(&mqtt.Client{ID: "e"}, "1-1", &rawLink{}); err == nil {
		t.Error("link to an edge: got no error")
	}
	x.stop()
	if _, err := x.b.Accept(&mqtt.Client{ID: "e"}, "1-1", &rawLink{}); err == nil {
		t.Error("after Close: got no error")
	}
}

func TestConfigIsChecked(t *testing.T) {
	x := newCore(t, "x")
	good := Config{Node: "n", Role: RoleEdge, Store: x.st, Router: x.router}
	for name, spoil := range map[string]func(*Config){
		"no name":       func(c *Config) { c.Node = "" },
		"$ name":        func(c *Config) { c.Node = "$cores" },
		"role":          func(c *Config) { c.Role = "leaf" },
		"store":         func(c *Config) { c.Store = nil },
		"when full":     func(c *Config) { c.WhenFull.Default = "panic" },
		"balance":       func(c *Config) { c.Balance = "best" },
		"uplink filter": func(c *Config) { c.UplinkFilters = []string{"a/#/b"} },
		"$ filter":      func(c *Config) { c.UplinkFilters = []string{"$SYS/#"} },
	} {
		bad := good
		spoil(&bad)
		if _, err := New(bad); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// An edge learns of cores over the link and finds them when its seed is gone, after a restart too.
func TestEdgeLearnsCores(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	a := newNode(t, RoleEdge, "a", nil)
	a.b.SetCores([]string{x.addr}, true)
	eventually(t, "a knows both", func() bool { return len(a.b.uplink.candidates()) == 2 })
	a.restart()
	x.setDeaf(true)
	a.b.SetCores([]string{x.addr}, true)
	a.wantState("y", "up")
	sub := y.subscribe("s", "t", 1)
	a.mustPublish("t", 1, "m")
	sub.want(t, "m")
}

// Closing says goodbye, at once and twice.
func TestCloseSaysGoodbye(t *testing.T) {
	x := newCore(t, "x")
	r := openRaw(t, x, "e")
	r.send(frame.KindHello, edgeHello("e"))
	x.wantState("e", "up")
	for range 2 {
		if err := x.b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.frames(frame.KindGoaway) != 1 || !r.isGone() {
		t.Errorf("got %d goodbyes, closed %v, want 1 and true", r.frames(frame.KindGoaway), r.isGone())
	}
}

// A kind of frame that is known has somebody who handles it.
func TestEveryKindIsHandled(t *testing.T) {
	src, err := os.ReadFile("frame/frame.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`(?m)^\tKind\w+ += "(\w+)"`).FindAllStringSubmatch(string(src), -1)
	if len(kinds) < 7 {
		t.Fatalf("found %d kinds of frame in frame.go", len(kinds))
	}
	for _, k := range kinds {
		if handle, _ := handlers(k[1]); handle == nil {
			t.Errorf("handlers has no row for %s frames: they would be skipped", k[1])
		}
	}
}
