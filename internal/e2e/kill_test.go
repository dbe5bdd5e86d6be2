package e2e

import (
	"fmt"
	"testing"
	"time"
)

// A broker is killed at random moments, also while it starts, while publishers and persistent subscribers of QoS 1 and 2 go on.
func TestP2FaultKilledUnderLoad(t *testing.T) {
	kills := scaled(5, 60)
	edge := standalone(t, "")
	l := startLoad(t)
	for _, qos := range []byte{1, 2} {
		filter := fmt.Sprintf("q%d/#", qos)
		l.subscribe(taker{addr: edge.addr(), id: fmt.Sprintf("steady-%d", qos), filter: filter, qos: qos})
		l.subscribe(taker{addr: edge.addr(), id: fmt.Sprintf("restless-%d", qos), filter: filter, qos: qos, restless: 150 * time.Millisecond})
	}
	for i := range 6 {
		qos := byte(1 + i%2)
		id := fmt.Sprintf("sensor%d", i)
		l.publish(flow{addr: edge.addr(), id: id, topic: fmt.Sprintf("q%d/%s", qos, id), qos: qos, pace: 2 * time.Millisecond},
			fmt.Sprintf("steady-%d", qos), fmt.Sprintf("restless-%d", qos))
	}
	l.arrived()
	early := 0
	for i := range kills {
		randomly(20*time.Millisecond, 500*time.Millisecond)
		edge.kill()
		for range i % 3 {
			edge.killWhileStarting()
			early++
		}
		edge.restart()
	}
	sum := l.settle(60*time.Second, edge)
	sum.check(t)
	t.Logf("%d times kill -9, and %d times while it started", kills, early)
}
