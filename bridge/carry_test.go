package bridge

import (
	"testing"
)

func TestEdgeToCore(t *testing.T) {
	x := newCore(t, "x")
	sub := x.subscribe("s", "a/#", 2)
	a := newEdge(t, "a", x)
	a.wantState("x", "up")
	a.mustPublish("a/1", 1, numbered("m", 0, 100)...)
	sub.want(t, numbered("m", 0, 100)...)
	a.drained("x")
	if got := sub.messages()[0]; got.QoS != 1 || got.From.Name != "a" || got.Origin.Store != a.st.ID() {
		t.Errorf("got %+v, want QoS 1, from a, with a's store as origin", got)
	}
}

func TestReadingCrossesTwoCores(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	a, b := newEdge(t, "a", x), newEdge(t, "b", y)
	sub := b.subscribe("s", "t/+", 1)
	local := a.subscribe("local", "t/+", 1)
	x.wantInterest("y", "t/+", true)
	for qos := byte(0); qos <= 2; qos++ {
		a.mustPublish("t/1", qos, numbered("m", 20*int(qos), 20*int(qos)+20)...)
		sub.want(t, numbered("m", 0, 20*int(qos)+20)...)
	}
	local.want(t, numbered("m", 0, 60)...)
	a.drained("x")
	x.drained("y")
	y.drained("b")
}
