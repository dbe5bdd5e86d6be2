package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func testWill(payload string) *mqtt.Message {
	return &mqtt.Message{Topic: "will", Payload: []byte(payload)}
}

// bubble runs fn with a node without a store, in fake time.
func bubble(t *testing.T, change func(*Config), fn func(t *testing.T, n *node)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, false, change)
		fn(t, n)
		n.Manager.Close()
	})
}

// wantWills checks what was published on topic "will" so far.
func (n *node) wantWills(t *testing.T, why string, want ...string) {
	t.Helper()
	synctest.Wait()
	if got := n.router.published("will"); !slices.Equal(got, want) {
		t.Fatalf("%s: got wills %q, want %q", why, got, want)
	}
}

// A session without expiry ends with its connection. [MQTT-3.1.2-6]
func TestCleanSessionEnds(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s, out, present := n.connect(mqtt.OpenRequest{ClientID: "c"})
		subscribe(t, s, "t", 1)
		n.mustSend("t", 0, "a")
		out.want(t, "PUBLISH a qos 0 id 0")
		s.Detach(out, mqtt.DetachRequest{})
		if all, _ := n.Count(); present || all != 0 || n.router.count() != 0 {
			t.Fatalf("got present %v, %d sessions, %d subscriptions; want none", present, all, n.router.count())
		}
		if _, _, present = n.connect(mqtt.OpenRequest{ClientID: "c"}); present {
			t.Fatal("got a session present, want none")
		}
	})
}

// A node that closes does not take out the subscriptions of each session that ends; what is published meanwhile goes to nobody.
func TestSubscriptionsOfANodeThatCloses(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c"})
		subscribe(t, s, "t", 1)
		n.Stopping()
		s.Detach(out, mqtt.DetachRequest{})
		n.mustSend("t", 1, "a")
		if all, _ := n.Count(); all != 0 || n.router.count() != 1 {
			t.Errorf("got %d sessions and %d subscriptions, want none and 1", all, n.router.count())
		}
	})
}

// The state is kept while connected and for the expiry after it, and not longer. [MQTT-4.1.0-1] [MQTT-4.1.0-2]
// [MQTT-3.1.2-23]
func TestSessionExpires(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: time.Minute})
		subscribe(t, s, "t", 1)
		time.Sleep(time.Hour) // connected: nothing expires
		s.Detach(out, mqtt.DetachRequest{})
		n.mustSend("t", 1, "a")
		time.Sleep(59 * time.Second)
		s, out, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: time.Minute})
		if !present {
			t.Fatal("got no session, want it to be there")
		}
		out.want(t, "PUBLISH a qos 1 id 2")
		s.Detach(out, mqtt.DetachRequest{})
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if all, _ := n.Count(); all != 0 || n.router.count() != 0 {
			t.Fatalf("got %d sessions, %d subscriptions; want none", all, n.router.count())
		}
	})
}

// DISCONNECT can change the expiry, also to 0 (section 3.14.2.2.2).
func TestDisconnectChangesExpiry(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: -1})
		zero := time.Duration(0)
		s.Detach(out, mqtt.DetachRequest{Expiry: &zero})
		if all, _ := n.Count(); all != 0 {
			t.Fatalf("got %d sessions, want 0", all)
		}
	})
}

// A second connection closes the first, which can do nothing any more. [MQTT-3.1.4-3]
func TestTakeover(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s1, out1, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		subscribe(t, s1, "t", 1)
		n.mustSend("t", 1, "a")
		out1.want(t, "PUBLISH a qos 1 id 2")
		s2, out2, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		if !present || s1 != s2 {
			t.Fatalf("got present %v, another session %v; want the same", present, s1 != s2)
		}
		out1.want(t, "CLOSE 0x8E")
		out2.want(t, "PUBLISH a qos 1 id 2 dup")
		s1.Detach(out1, mqtt.DetachRequest{})
		if _, connected := n.Count(); connected != 1 {
			t.Fatalf("got %d connected, want 1", connected)
		}
		// A clean start ends what there was. [MQTT-3.1.2-4]
		s3, out3, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Clean: true})
		if present || s3 == s2 || n.router.count() != 0 {
			t.Fatal("got the old session, want a new one without subscriptions")
		}
		out2.want(t, "CLOSE 0x8E")
		out3.idle(t)
	})
}

func TestWills(t *testing.T) {
	normal, abnormal := mqtt.DetachRequest{DropWill: true}, mqtt.DetachRequest{}
	open := func(delay, expiry time.Duration) mqtt.OpenRequest {
		return mqtt.OpenRequest{ClientID: "c", Expiry: expiry, Will: testWill("gone"), WillDelay: delay}
	}
	for name, c := range map[string]struct {
		req    mqtt.OpenRequest
		detach mqtt.DetachRequest
		after  time.Duration // then a second connection, as next
		next   mqtt.OpenRequest
		before []string // wills when it comes
		want   []string // wills at the end
	}{
		"not after DISCONNECT [MQTT-3.14.4-3]":          {req: open(0, 0), detach: normal},
		"at once [MQTT-3.1.2-8]":                        {req: open(0, 0), detach: abnormal, before: []string{"gone"}, want: []string{"gone"}},
		"at once, session goes on":                      {req: open(0, hour), detach: abnormal, before: []string{"gone"}, want: []string{"gone"}},
		"session end cuts the delay short":              {req: open(hour, 0), detach: abnormal, before: []string{"gone"}, want: []string{"gone"}},
		"after the delay":                               {req: open(time.Minute, hour), detach: abnormal, after: 61 * time.Second, before: []string{"gone"}, want: []string{"gone"}},
		"at expiry, before the delay":                   {req: open(hour, time.Minute), detach: abnormal, after: 61 * time.Second, before: []string{"gone"}, want: []string{"gone"}},
		"a new connection within it [MQTT-3.1.3-9]":     {req: open(time.Minute, hour), detach: abnormal, after: 59 * time.Second, next: mqtt.OpenRequest{Expiry: hour}},
		"a clean start within it ends the session":      {req: open(time.Minute, hour), detach: abnormal, after: 59 * time.Second, next: mqtt.OpenRequest{Clean: true}, want: []string{"gone"}},
		"never expires: the delay counts":               {req: open(time.Minute, -1), detach: abnormal, after: 61 * time.Second, before: []string{"gone"}, want: []string{"gone"}},
		"the new connection's will replaces the old's":  {req: open(time.Minute, hour), detach: abnormal, after: time.Second, next: mqtt.OpenRequest{Expiry: hour, Will: testWill("new")}, want: []string{"new"}},
		"a delay, but DISCONNECT [MQTT-3.1.2-10]":       {req: open(time.Minute, hour), detach: normal, after: time.Hour},
		"takeover without delay":                        {req: open(0, hour), next: mqtt.OpenRequest{Expiry: hour}, want: []string{"gone"}},
		"takeover with delay, session goes on":          {req: open(time.Minute, hour), next: mqtt.OpenRequest{Expiry: hour}},
		"takeover with delay, clean start":              {req: open(time.Minute, hour), next: mqtt.OpenRequest{Clean: true}, want: []string{"gone"}},
		"takeover with delay, session without expiry":   {req: open(time.Minute, 0), next: mqtt.OpenRequest{}, want: []string{"gone"}},
		"a will is published once although Close comes": {req: open(time.Minute, hour), detach: abnormal, after: 2 * time.Minute, before: []string{"gone"}, want: []string{"gone"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, n *node) {
				s, out, _ := n.connect(c.req)
				if c.after > 0 || c.before != nil || c.detach.DropWill {
					s.Detach(out, c.detach)
				}
				time.Sleep(c.after)
				n.wantWills(t, "before the second connection", c.before...)
				c.next.ClientID = "c"
				s, out, _ = n.connect(c.next)
				s.Detach(out, mqtt.DetachRequest{DropWill: c.next.Will == nil})
				time.Sleep(48 * time.Hour)
				n.wantWills(t, "at the end", c.want...)
			})
		})
	}
}

// A will reaches the session's own subscriptions too, and its expiry counts from its publication.
func TestWillToItself(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		req := mqtt.OpenRequest{ClientID: "c", Expiry: hour, Will: testWill("gone"), WillExpiry: time.Minute}
		req.Will.QoS = 1
		s, out, _ := n.connect(req)
		subscribe(t, s, "will", 1)
		time.Sleep(time.Hour)
		s.Detach(out, mqtt.DetachRequest{})
		time.Sleep(59 * time.Second)
		_, out, _ = n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		out.want(t, "PUBLISH gone qos 1 id 2")
	})
}

func TestCloseWills(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Will: testWill("gone"), WillDelay: time.Minute})
		n.Manager.Close()
		n.Manager.Close()
		n.wantWills(t, "after Close", "gone")
		var e *packet.Error
		if _, _, err := n.Open(mqtt.OpenRequest{ClientID: "d"}, newOutlet()); !errors.As(err, &e) || e.Reason != packet.ServerShuttingDown {
			t.Fatalf("got %v, want server shutting down", err)
		}
	})
}

// The bound has one meaning, also for a session that lives in memory. What was sent does not give way. [promise P6]
func TestMemoryBound(t *testing.T) {
	for _, c := range []struct {
		policy overflow.Policy
		err    error
		drops  uint64
		want   []string
	}{
		{overflow.DropOldest, nil, 1, []string{"c", "d"}},
		{overflow.DropNew, nil, 1, []string{"b", "c"}},
		{overflow.Refuse, mqtt.ErrQuota, 0, []string{"b", "c"}},
	} {
		reg := metrics.New()
		tweak := func(cfg *Config) { cfg.MaxQueuedMessages, cfg.WhenFull.Default, cfg.Metrics = 3, c.policy, reg }
		bubble(t, tweak, func(t *testing.T, n *node) {
			s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", ReceiveMaximum: 1})
			subscribe(t, s, "t", 1)
			n.mustSend("t", 1, "a", "b", "c")
			if err := n.send("t", "d", 1); !errors.Is(err, c.err) {
				t.Fatalf("%s: got %v above the bound, want %v", c.policy, err, c.err)
			}
			if got := reg.Dropped("queue-full").Get(); got != c.drops {
				t.Fatalf("%s: got %d drops, want %d", c.policy, got, c.drops)
			}
			for _, payload := range append([]string{"a"}, c.want...) {
				line := out.take(t, 1)[0]
				if want := "PUBLISH " + payload + " "; !strings.HasPrefix(line, want) {
					t.Errorf("%s: got %q, want %q", c.policy, line, want)
				}
				s.lock()
				id := packetID(s.traffic.out.first())
				s.unlock()
				ack(t, s, packet.PUBACK, id)
			}
			n.mustSend("t", 1, "e")
			s.Detach(out, mqtt.DetachRequest{})
			if got := reg.Dropped("session-ended").Get(); got != 1 {
				t.Fatalf("%s: got %d drops at the end, want 1", c.policy, got)
			}
		})
	}
}

func TestQoS0Drops(t *testing.T) {
	reg := metrics.New()
	bubble(t, func(c *Config) { c.Metrics = reg }, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		subscribe(t, s, "t", 1)
		out.set(mqtt.Full)
		n.mustSend("t", 0, "a")
		out.set(mqtt.TooLarge)
		n.mustSend("t", 0, "b")
		s.Detach(out, mqtt.DetachRequest{})
		n.mustSend("t", 0, "c")
		for _, why := range []string{"buffer-full-qos0", "too-large", "offline-qos0"} {
			if got := reg.Dropped(why).Get(); got != 1 {
				t.Errorf("%s: got %d drops, want 1", why, got)
			}
		}
		out.idle(t)
	})
}

func TestOnlineFollowsTheBuffer(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		out := newOutlet()
		got, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", ReceiveMaximum: 9}, out)
		if err != nil {
			t.Fatal(err)
		}
		s := got.(*Session)
		online := func(why string, want bool) {
			t.Helper()
			if s.Online() != want {
				t.Fatalf("%s: got online %v, want %v", why, s.Online(), want)
			}
		}
		online("before CONNACK", false)
		subscribe(t, s, "t", 1)
		n.mustSend("t", 1, "a")
		out.idle(t)
		s.Resume()
		out.want(t, "PUBLISH a qos 1 id 2")
		online("resumed", true)
		out.set(mqtt.Full)
		n.mustSend("t", 1, "b")
		online("buffer full", false)
		out.set(mqtt.Sent)
		s.Resume()
		online("drained", true)
		out.want(t, "PUBLISH b qos 1 id 3")
	})
}

// Inbound QoS 2 without a store. [MQTT-4.3.3-10]
func TestTakeInMemory(t *testing.T) {
	bubble(t, nil, func(t *testing.T, n *node) {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
		var log []string
		receipt := func(name string) *mqtt.Receipt {
			return mqtt.NewReceipt(new(batch.Batch), func(err error) { log = append(log, fmt.Sprint(name, " ", err)) })
		}
		first, again := receipt("first"), receipt("again")
		if s.Take(7, first) {
			t.Fatal("got a repeat, want the first")
		}
		first.Hold()
		first.Close()
		if err := s.Acked(packet.PUBREL, 7, 0); err == nil {
			t.Fatal("got no error for PUBREL before PUBREC")
		}
		if !s.Take(7, again) {
			t.Fatal("got the first, want a repeat")
		}
		again.Close()
		if len(log) != 0 {
			t.Fatalf("got %q before the first has settled", log)
		}
		first.Release(nil)
		if want := []string{"again <nil>", "first <nil>"}; !slices.Equal(log, want) {
			t.Fatalf("got %q, want %q", log, want)
		}
		for _, want := range []string{"PUBCOMP 7", "PUBCOMP 7 reason 0x92"} { // [MQTT-4.3.3-11]
			if err := s.Acked(packet.PUBREL, 7, 0); err != nil {
				t.Fatal(err)
			}
			out.want(t, want)
		}
		refused := receipt("refused")
		s.Take(8, refused)
		refused.Refuse(mqtt.ErrQuota)
		refused.Close()
		if s.Take(8, receipt("new")) {
			t.Fatal("got a repeat of a refused publish, want its id to be free")
		}
	})
}

func TestQuotas(t *testing.T) {
	bubble(t, func(c *Config) { c.MaxSessions, c.MaxSubscriptions = 2, 3 }, func(t *testing.T, n *node) {
		s, _, _ := n.connect(mqtt.OpenRequest{ClientID: "a"})
		n.connect(mqtt.OpenRequest{ClientID: "b"})
		n.connect(mqtt.OpenRequest{ClientID: "b"})
		wantQuota := func(err error) {
			t.Helper()
			var e *packet.Error
			if !errors.As(err, &e) || e.Reason != packet.QuotaExceeded {
				t.Fatalf("got %v, want quota exceeded", err)
			}
		}
		_, _, err := n.Open(mqtt.OpenRequest{ClientID: "c", ReceiveMaximum: 1}, newOutlet())
		wantQuota(err)
		subscribe(t, s, "1", 0)
		subscribe(t, s, "2", 0)
		_, err = s.Subscribe([]mqtt.Subscription{{Filter: "3"}, {Filter: "4"}})
		wantQuota(err)
	})
}
