package bridge

import (
	"context"
	"time"
)

// Bounds of a race.
const (
	minStagger = 250 * time.Millisecond // RFC 8305, section 5: Connection Attempt Delay
	maxRacing  = 6                      // attempts at once; the next one then waits until one has ended
	patientIn  = 4                      // of so many rounds that all failed, one goes without haste: on a thin line a race is in its own way
)

// raced is how a race ended.
type raced[T any] struct {
	won  T
	at   int           // who won; -1 = nobody
	took time.Duration // the winner, from its own begin
	errs []error       // why one failed last; nil = it won, did not fail, or did not begin
	slow []bool        // it had longer than the stagger and did not answer, though it may have failed in the end
}

// racers is what a race is about: candidates 0 to n-1.
type racers[T any] struct {
	n       int
	stagger time.Duration
	try     func(ctx context.Context, i int) (T, error) // ends soon after ctx does
	again   func(failures int) time.Duration            // pause before one that failed at once is tried again
	drop    func(T)                                     // takes what answered too late
}

// race tries the candidates in order, and takes the first that answers. The next one begins when one has failed, or when the latest has not answered for
// as long as the stagger, and not more than maxRacing are at it. As long as one is at it, those that failed at once are tried
// again: the one that works may be starting. When one has won the others are cancelled, and race returns when nothing of them is left.
//
//	0 ─────────── silent ───────────────┤ cancelled
//	   stagger ─ 1 ── refused ─ again ─ refused
//	                  2 ─────── answers ┤ won
func race[T any](ctx context.Context, r racers[T]) raced[T] {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &course[T]{racers: r, ctx: ctx, began: make([]time.Time, r.n), failures: make([]int, r.n), results: make(chan answer[T], r.n), due: make(chan int, r.n),
		raced: raced[T]{at: -1, errs: make([]error, r.n), slow: make([]bool, r.n)}}
	timer := time.NewTimer(r.stagger)
	defer timer.Stop()
	for c.next(); c.atIt > 0; {
		select {
		case a := <-c.results:
			if c.end(a) {
				cancel()
			} else if a.err != nil {
				c.next()
				timer.Reset(r.stagger)
			}
		case <-timer.C:
			c.next()
			timer.Reset(r.stagger)
		case i := <-c.due:
			c.retry(i)
		}
	}
	for _, t := range c.timers {
		t.Stop()
	}
	return c.raced
}

// course is a race while it goes on. For one goroutine; each attempt has one of its own, which race waits for.
type course[T any] struct {
	racers[T]
	raced[T]
	ctx      context.Context // ends with the race
	begun    int             // candidates that have begun
	began    []time.Time     // latest time each did; zero = it is not at it
	atIt     int
	failures []int
	results  chan answer[T]
	due      chan int // candidates that are to be tried again; each is in it once at most
	timers   []*time.Timer
}

// answer is what one attempt came to.
type answer[T any] struct {
	i   int
	won T
	err error
}

// next begins with the next candidate, if there is one.
func (c *course[T]) next() {
	if c.begun < c.n && c.atIt < maxRacing && c.ctx.Err() == nil {
		c.begun++
		c.begin(c.begun - 1)
	}
}

func (c *course[T]) begin(i int) {
	c.began[i] = time.Now()
	c.atIt++
	go func() { // owned by race, which waits for its answer; ends with ctx
		won, err := c.try(c.ctx, i)
		c.results <- answer[T]{i, won, err}
	}()
}

// end takes an answer; true = it is the first good one.
func (c *course[T]) end(a answer[T]) (won bool) {
	began := c.began[a.i]
	c.began[a.i] = time.Time{}
	c.atIt--
	switch {
	case a.err == nil && c.at < 0:
		c.won, c.at, c.took = a.won, a.i, time.Since(began)
		c.errs[a.i] = nil
		for i, since := range c.began {
			if !since.IsZero() && since.Before(began) && time.Since(since) >= c.stagger {
				c.slow[i] = true
			}
		}
		return true
	case a.err == nil:
		c.drop(a.won)
	case c.at < 0:
		c.errs[a.i], c.slow[a.i] = a.err, time.Since(began) >= c.stagger
		if !c.slow[a.i] {
			c.failures[a.i]++
			c.timers = append(c.timers, time.AfterFunc(c.again(c.failures[a.i]), func() { c.due <- a.i }))
		}
	}
	return false
}

// retry tries i again.
func (c *course[T]) retry(i int) {
	switch {
	case c.ctx.Err() != nil:
	case c.atIt < maxRacing:
		c.begin(i)
	default:
		c.timers = append(c.timers, time.AfterFunc(c.again(c.failures[i]), func() { c.due <- i }))
	}
}
