package bridge

import (
	"testing"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/mqtt"
)

// What begins with "$" stays within a node: as a message that goes or comes, as interest that is told or heard, and
// as a filter of what goes up.
func TestDollarTopicsStay(t *testing.T) {
	for name, want := range map[string]bool{
		"a/x": true, "a": true, "/": true, "a/$SYS/x": true, "/$SYS": true,
		"$": false, "$/": false, "$other": false, "$other/x": false, "$SYS": false, "$SYS/x": false, "$SYSTEM/x": false,
		"$SYS/broker/connection/gw/state": false, "$link": false, "$link/data": false, "$links/data": false, "$share": false, "$share/g/x": false,
		"$share/g/$SYS/x": false, "$queue/x": false, "$fleet/x": false, "$delayed/5/x": false, "$history/x": false,
	} {
		n := &neighbour{name: "n", scope: mqtt.ScopeEdge}
		n.kin.Store(newKin(0, nil))
		m := &mqtt.Message{Topic: name, Origin: mqtt.Origin{Life: 1, Seq: 1}, Publisher: "c"}
		if got := !n.loops(m); got != want {
			t.Errorf("message to %s: goes %v, want %v", name, got, want)
		}
		if _, err := decodeMessage(mqtt.AppendMessage(nil, m), time.Now()); (err == nil) != want {
			t.Errorf("message to %s: comes in with error %v, want admitted %v", name, err, want)
		}
		if got := mayWant(name); got != want {
			t.Errorf("interest of a neighbour in %s: heard %v, want %v", name, got, want)
		}
		a, changes := interest.NewAnnouncer(time.Minute, 100, time.Now), 0
		a.Follow(frame.Digest{}, func() { changes++ })
		changes = 0
		if a.Changed(name, 1, true); (changes == 1) != want {
			t.Errorf("interest in %s: told %v, want %v", name, !want, want)
		}
		cfg := Config{UplinkFilters: []string{name}}
		if err := cfg.checkFilters(); (err == nil) != want {
			t.Errorf("uplink filter %s: got error %v, want permitted %v", name, err, want)
		}
	}
	if (&Config{UplinkFilters: []string{"$share/g/$"}}).checkFilters() == nil || mayWant("") || mayWant("#/a") {
		t.Error("got a filter that is invalid or shared")
	}
}
