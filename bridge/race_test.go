package bridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// runner is one candidate of a race: when it answers, and how. ctx ends it.
type runner struct {
	after time.Duration
	err   error
}

func (r runner) run(ctx context.Context) error {
	timer := time.NewTimer(r.after)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return r.err
	}
}

func tenth(int) time.Duration { return 100 * time.Millisecond }

func TestRace(t *testing.T) {
	const silent, stagger = time.Hour, 250 * time.Millisecond
	refused := errors.New("refused")
	for _, c := range []struct {
		why     string
		runners []runner
		at      int
		took    time.Duration // all of it
		slow    []int
	}{
		{"one that answers at once is alone", []runner{{0, nil}, {0, nil}}, 0, 0, nil},
		{"one that answers within the stagger is alone", []runner{{stagger - 1, nil}, {0, nil}}, 0, stagger - 1, nil},
		{"a silent one costs its stagger", []runner{{silent, nil}, {0, nil}}, 1, stagger, []int{0}},
		{"three silent ones cost theirs", []runner{{silent, nil}, {silent, nil}, {silent, nil}, {time.Second, nil}}, 3, 3*stagger + time.Second, []int{0, 1, 2}},
		{"one that refuses costs nothing", []runner{{0, refused}, {0, refused}, {0, nil}}, 2, 0, nil},
		{"a slow one wins when it is first all the same", []runner{{2 * stagger, nil}, {silent, nil}}, 0, 2 * stagger, nil},
		{"a later one wins when it is first", []runner{{3 * stagger, nil}, {stagger, nil}}, 1, 2 * stagger, []int{0}},
		{"all fail", []runner{{stagger, refused}, {0, refused}}, -1, stagger, []int{0}},
		{"who is too many waits", append(slices.Repeat([]runner{{time.Minute, refused}}, maxRacing), runner{0, nil}), maxRacing, time.Minute, []int{0, 1, 2, 3, 4, 5}},
		{"nobody is there", nil, -1, 0, nil},
	} {
		t.Run(c.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				got := race(t.Context(), racers[int]{n: len(c.runners), stagger: stagger, again: tenth, drop: func(int) {},
					try: func(ctx context.Context, i int) (int, error) { return i, c.runners[i].run(ctx) }})
				var slow []int
				for i, is := range got.slow {
					if is {
						slow = append(slow, i)
					}
				}
				if took := time.Since(begin); got.at != c.at || took != c.took || !slices.Equal(slow, c.slow) || c.at >= 0 && got.won != c.at {
					t.Errorf("got %+v after %v, slow are %v; want %d after %v, slow are %v", got, took, slow, c.at, c.took, c.slow)
				}
			})
		})
	}
}

// Who answers after the end is dropped, nobody is left at it, and never too many are.
func TestRaceLeavesNobody(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		runners := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) runner {
			r := runner{after: time.Duration(rapid.IntRange(0, 20).Draw(rt, "after")) * 100 * time.Millisecond}
			if rapid.Bool().Draw(rt, "fails") {
				r.err = fmt.Errorf("fails after %v", r.after)
			}
			return r
		}), 0, 15).Draw(rt, "runners")
		deaf := rapid.Bool().Draw(rt, "deaf") // what answers does not look at its context
		stopped := rapid.IntRange(0, 30).Draw(rt, "stopped")
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(stopped)*100*time.Millisecond)
			defer cancel()
			starts, results, dropped := make(chan int, 1000), make(chan int, 1000), 0
			atIt, most := make(chan struct{}, maxRacing), len(runners)
			got := race(ctx, racers[int]{n: most, stagger: 200 * time.Millisecond, again: tenth, drop: func(int) { dropped++ }, try: func(ctx context.Context, i int) (int, error) {
				starts <- i
				select {
				case atIt <- struct{}{}:
				default:
					t.Error("too many at once")
				}
				defer func() { <-atIt }()
				if deaf {
					ctx = context.WithoutCancel(ctx)
				}
				err := runners[i].run(ctx)
				if err == nil {
					results <- i
				}
				return i, err
			}})
			begun := 0
			for range len(starts) {
				begun = max(begun, <-starts+1)
			}
			won := 0
			if got.at >= 0 {
				won = 1
			}
			if len(results) != won+dropped || len(atIt) != 0 {
				t.Errorf("%d answered, %d won, %d were dropped; %d are at it", len(results), won, dropped, len(atIt))
			}
			if won == 0 && ctx.Err() == nil && begun != len(runners) {
				t.Errorf("nobody won, and only %d of %d were tried", begun, len(runners))
			}
		})
	})
}

// One that refuses while others are silent is tried again, ever less often, and wins when it is there: a core that starts again.
func TestRaceTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, tries, refused := time.Now(), 0, errors.New("refused")
		got := race(t.Context(), racers[int]{
			n: 3, stagger: 250 * time.Millisecond, drop: func(int) {},
			again: func(failures int) time.Duration { return time.Duration(failures) * 100 * time.Millisecond },
			try: func(ctx context.Context, i int) (int, error) {
				if i != 1 {
					return i, runner{after: 10 * time.Second, err: refused}.run(ctx)
				}
				if tries++; time.Since(begin) < 2*time.Second {
					return 1, refused
				}
				return 1, nil
			},
		})
		if took := time.Since(begin); got.at != 1 || got.errs[1] != nil || took > 2500*time.Millisecond || tries > 8 || !slices.Equal(got.slow, []bool{true, false, true}) {
			t.Errorf("got %+v after %v and %d tries, want 1, with the others slow", got, took, tries)
		}
	})
}
