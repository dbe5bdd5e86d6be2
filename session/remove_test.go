package session

import (
	"errors"
	"fmt"
	"testing"

	"mangrove/mqtt"
)

// A removed session's messages are counted as the operator's, its will is published, and the client begins anew, also after
// a restart.
func TestRemove(t *testing.T) {
	for _, durable := range []bool{false, true} {
		t.Run(fmt.Sprint("durable ", durable), func(t *testing.T) {
			n := newNode(t, durable, nil)
			s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour, Will: &mqtt.Message{Topic: "gone", Payload: []byte("w")}, WillDelay: hour})
			subscribe(t, s, "t", 1)
			s.Detach(out, mqtt.DetachRequest{})
			n.mustSend("t", 1, "a", "b", "c")
			if _, err := n.Remove("nobody", false); !errors.Is(err, ErrNoSession) {
				t.Errorf("got %v, want that there is no such session", err)
			}
			was, err := n.Remove("c", false)
			if err != nil || was.Queued != 3 || was.Connected {
				t.Fatalf("got %+v, %v, want three messages", was, err)
			}
			if got := n.count.dropped[dropRemoved].Get(); got != 3 {
				t.Errorf("got %d messages counted as removed, want 3", got)
			}
			if got := n.router.published("gone"); len(got) != 1 {
				t.Errorf("got wills %v, want one", got)
			}
			if durable {
				n.restart()
			}
			if _, _, present := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour}); present {
				t.Error("the session is there again")
			}
		})
	}
}

func TestRemoveOfAConnectedClient(t *testing.T) {
	n := newNode(t, true, nil)
	s, out, _ := n.connect(mqtt.OpenRequest{ClientID: "c", Expiry: hour})
	subscribe(t, s, "t", 1)
	if _, err := n.Remove("c", false); !errors.Is(err, ErrConnected) {
		t.Errorf("got %v, want that it is connected", err)
	}
	n.mustSend("t", 1, "a")
	out.want(t, "PUBLISH a qos 1 id 2")
	if _, err := n.Remove("c", true); err != nil {
		t.Fatal(err)
	}
	s.Detach(out, mqtt.DetachRequest{}) // as the broker does then
	if sessions, _ := n.Count(); sessions != 0 {
		t.Errorf("got %d sessions, want none", sessions)
	}
}

func TestList(t *testing.T) {
	n := newNode(t, false, nil)
	for i := range 30 {
		s, out, _ := n.connect(mqtt.OpenRequest{ClientID: fmt.Sprintf("c%02d", i), Expiry: hour})
		subscribe(t, s, fmt.Sprint("t", i), 1)
		s.Detach(out, mqtt.DetachRequest{})
		for range i {
			n.mustSend(fmt.Sprint("t", i), 1, "m")
		}
	}
	for _, c := range []struct {
		order    Order
		prefix   string
		want     string
		matching int
	}{
		{ByBacklog, "", "[c29 c28 c27]", 30}, {ByName, "", "[c00 c01 c02]", 30}, {ByBacklog, "c1", "[c19 c18 c17]", 10}, {ByName, "x", "[]", 0},
		{ByAge, "c0", "", 10},
	} {
		first, matching := n.List(c.order, c.prefix, 3)
		var names []string
		for _, i := range first {
			names = append(names, i.ClientID)
		}
		if got := fmt.Sprint(names); c.order != ByAge && got != c.want || len(names) != min(3, c.matching) || matching != c.matching {
			t.Errorf("%s %q: got %s of %d, want %s of %d", c.order, c.prefix, got, matching, c.want, c.matching)
		}
	}
}
