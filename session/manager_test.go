package session

import (
	"fmt"
	"sync"
	"testing"

	"mangrove/mqtt"
)

// each visits every session once that is there all the time, while others come and go.
func TestEach(t *testing.T) {
	for _, count := range []int{0, 1, eachStep - 1, eachStep, eachStep + 1, 3*eachStep + 7} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			n := newNode(t, false, nil)
			for i := range count {
				n.connect(mqtt.OpenRequest{ClientID: fmt.Sprint("stays", i)})
			}
			stop := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					s, out, _ := n.connect(mqtt.OpenRequest{ClientID: fmt.Sprint("goes", i%100), Clean: true})
					s.Detach(out, mqtt.DetachRequest{})
				}
			})
			visits := map[string]int{}
			n.each(func(s *Session) {
				s.lock() // fn may
				defer s.unlock()
				visits[s.clientID]++
			})
			close(stop)
			others.Wait()
			for i := range count {
				if got := visits[fmt.Sprint("stays", i)]; got != 1 {
					t.Fatalf("session %d was visited %d times, want once", i, got)
				}
			}
		})
	}
}
