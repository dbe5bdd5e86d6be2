package node

import (
	"net"
	"testing"
	"time"

	"mangrove/bridge"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// A client that says goodbye and comes back at once has no will to be published, whichever of its two connections
// is read first. [MQTT-3.1.2-10] [MQTT311-3.1.2-10]
func TestGoodbyeBeforeComingBack(t *testing.T) {
	n := started(t, Role{Name: bridge.RoleEdge, Meet: func(*Node) error { return nil }})
	addr := n.server.Addrs()[0]
	got := make(chan string, 200)
	watcher, err := client.Dial(t.Context(), client.Config{Addr: addr, Clean: true,
		OnMessage: func(m *client.Message) { got <- m.Topic }})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Close(packet.Success)
	if _, err := watcher.Subscribe(t.Context(), packet.SubscribeFilter{Filter: "#"}); err != nil {
		t.Fatal(err)
	}
	v := packet.V311
	hello := (&packet.Connect{Version: v, ClientID: "c", Will: &packet.Will{Topic: "will", Payload: []byte("x")}}).Append(nil, v)
	alive := (&packet.Publish{Topic: []byte("alive"), Payload: []byte("x")}).Append(nil, v)
	bye := (&packet.Disconnect{}).Append(nil, v)
	for range 50 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		for _, b := range [][]byte{hello, alive} {
			if _, err := nc.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case topic := <-got:
			if topic != "alive" {
				t.Fatalf("got a message on %s, want none but alive", topic)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("nothing came")
		}
		if _, err := nc.Write(bye); err != nil {
			t.Fatal(err)
		}
	}
}
