package firmwaresim

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestSchedulerRingsInOrderAndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		runners := []*runner{{site: 0}, {site: 1}, {site: 2}, {site: 3}}
		type ring struct {
			site int
			at   time.Duration
		}
		var got []ring
		var s *scheduler
		s = newScheduler(func(r *runner) {
			got = append(got, ring{r.site, time.Since(begin)})
			if r.site == 0 && len(got) < 5 {
				s.set(r, time.Now().Add(4*time.Second)) // as a device does when it is woken
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); s.run(ctx) }()
		for i, r := range runners {
			s.set(r, begin.Add(time.Duration(4-i)*time.Second))
		}
		s.set(runners[3], time.Time{})                 // never
		s.set(runners[1], begin.Add(10*time.Second))   // later
		s.set(runners[1], begin.Add(time.Millisecond)) // sooner than all
		time.Sleep(9 * time.Second)                    // of the bubble's clock
		cancel()
		<-done
		want := []ring{{1, time.Millisecond}, {2, 2 * time.Second}, {0, 4 * time.Second}, {0, 8 * time.Second}}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}
