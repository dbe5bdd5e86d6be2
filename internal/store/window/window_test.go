package window

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A load commits batches of 347 bytes at times of its own.
type load interface {
	first(at time.Duration) []time.Duration           // when its first batches come
	next(came, told time.Duration) (at time.Duration) // when the one comes that follows a batch
}

// sensors publish at their own times, so many a second.
type sensors struct {
	rate   float64
	random *rand.Rand // nil = at fixed times
}

func (l sensors) gap() time.Duration {
	g := 1 / l.rate
	if l.random != nil {
		g *= l.random.ExpFloat64()
	}
	return time.Duration(g * float64(time.Second))
}

func (l sensors) first(at time.Duration) []time.Duration        { return []time.Duration{at + l.gap()} }
func (l sensors) next(came, _ time.Duration) (at time.Duration) { return came + l.gap() }

// clients publish again so long after they were told.
type clients struct {
	n     int
	think time.Duration
}

func (l clients) first(at time.Duration) (all []time.Duration) {
	for i := range l.n {
		all = append(all, at+time.Duration(i)*time.Microsecond)
	}
	return all
}
func (l clients) next(_, told time.Duration) time.Duration { return told + l.think }

// disk plays a writer with a window on a disk whose sync takes so long, under a clock of its own.
type disk struct {
	window Window
	sync   time.Duration
	comes  []arrival // by time
	now    time.Duration
	come   Tally
	queue  []arrival
}

type arrival struct {
	at time.Duration
	of load
}

// outcome of a time.
type outcome struct {
	batches, groups, bytes int
	longest                time.Duration // that a batch waited for its answer
}

func (o outcome) perBatch() int { return o.bytes / max(1, o.batches) }

func (o outcome) String() string {
	return fmt.Sprintf("%d batches, %d groups, %d bytes a batch, longest %v", o.batches, o.groups, o.perBatch(), o.longest)
}

func (d *disk) start(l load) {
	for _, at := range l.first(d.now) {
		d.add(arrival{at, l})
	}
}

func (d *disk) add(a arrival) {
	i, _ := slices.BinarySearchFunc(d.comes, a, func(a, b arrival) int { return cmp.Compare(a.at, b.at) })
	d.comes = slices.Insert(d.comes, i, a)
}

const playedBatch = 347

// arrive lets come what comes until then.
func (d *disk) arrive(until time.Duration) {
	for len(d.comes) > 0 && d.comes[0].at <= until {
		a := d.comes[0]
		d.comes = d.comes[1:]
		d.come.Batches++
		d.come.Ops += 3
		d.queue = append(d.queue, a)
		if _, open := a.of.(sensors); open {
			d.add(arrival{a.of.next(a.at, 0), a.of})
		}
	}
	d.now = until
}

// run plays for so long.
func (d *disk) run(long time.Duration) (o outcome) {
	epoch := time.Unix(1_000_000, 0)
	for end := d.now + long; d.now < end; {
		if d.arrive(d.now); len(d.queue) == 0 {
			d.now = d.comes[0].at
			continue
		}
		if left := d.window.Wait(epoch.Add(d.now), d.come, len(d.queue)*playedBatch); left > 0 {
			until := d.now + left
			if len(d.comes) > 0 {
				until = min(until, max(d.now, d.comes[0].at))
			}
			d.arrive(until)
			continue
		}
		d.window.Wrote(epoch.Add(d.now))
		group := d.queue
		d.queue = nil
		d.arrive(d.now + d.sync)
		o.groups++
		o.bytes += pageSize/2 + (len(group)*playedBatch+pageSize-1)/pageSize*pageSize
		for _, a := range group {
			o.batches++
			o.longest = max(o.longest, d.now-a.at)
			if _, open := a.of.(sensors); !open {
				d.add(arrival{a.of.next(0, d.now), a.of})
			}
		}
	}
	return o
}

func poisson(rate float64) sensors { return sensors{rate, rand.New(rand.NewPCG(1, uint64(rate)))} }

// TestWindowGathersWhatComesByItself wants fewer groups, and no more delay than the window.
func TestWindowGathersWhatComesByItself(t *testing.T) {
	for _, c := range []struct {
		load   load
		window time.Duration
		sync   time.Duration
		most   int // bytes a batch
	}{
		{sensors{rate: 1000}, 10 * time.Millisecond, 150 * time.Microsecond, 1024},
		{poisson(1000), 10 * time.Millisecond, 150 * time.Microsecond, 1100},
		{poisson(1000), 10 * time.Millisecond, 5 * time.Millisecond, 1100},
		{poisson(5000), 10 * time.Millisecond, 150 * time.Microsecond, 700},
		{poisson(20000), 10 * time.Millisecond, 150 * time.Microsecond, 700},
		{poisson(400), 10 * time.Millisecond, 150 * time.Microsecond, 2200},
		{poisson(200), 50 * time.Millisecond, 5 * time.Millisecond, 1100},
	} {
		d := disk{window: Window{Max: c.window}, sync: c.sync}
		d.start(c.load)
		d.run(time.Second)
		o := d.run(20 * time.Second)
		t.Logf("%+v, window %v: %v", c.load, c.window, o)
		if o.perBatch() > c.most || o.longest > c.window+2*c.sync {
			t.Errorf("%+v, window %v: %v, want at most %d bytes a batch and %v", c.load, c.window, o, c.most, c.window+2*c.sync)
		}
	}
}

// TestWindowCostsNothingWhenLittleComes wants each batch to be written when it comes.
func TestWindowCostsNothingWhenLittleComes(t *testing.T) {
	for _, rate := range []float64{1, 10, 100, 200} {
		d := disk{window: Window{Max: 10 * time.Millisecond}, sync: 150 * time.Microsecond}
		d.start(sensors{rate: rate})
		if o := d.run(20 * time.Second); o.longest > 150*time.Microsecond {
			t.Errorf("%v a second: %v", rate, o)
		}
	}
}

// TestWindowDoesNotThrottle wants clients that wait for their answers to get as many as without a window.
func TestWindowDoesNotThrottle(t *testing.T) {
	for _, c := range []struct {
		name   string
		loads  []load
		window time.Duration
		sync   time.Duration
		long   time.Duration
	}{
		{"one", []load{clients{1, 100 * time.Microsecond}}, 10 * time.Millisecond, 150 * time.Microsecond, 20 * time.Second},
		{"one far away", []load{clients{1, 2 * time.Millisecond}}, 10 * time.Millisecond, 150 * time.Microsecond, 20 * time.Second},
		{"ten", []load{clients{10, 100 * time.Microsecond}}, 10 * time.Millisecond, 150 * time.Microsecond, 5 * time.Second},
		{"a hundred", []load{clients{100, 100 * time.Microsecond}}, 10 * time.Millisecond, 150 * time.Microsecond, 3 * time.Second},
		{"one, slow disk", []load{clients{1, 100 * time.Microsecond}}, 50 * time.Millisecond, 10 * time.Millisecond, time.Minute},
		{"ten, slow disk", []load{clients{10, 100 * time.Microsecond}}, 50 * time.Millisecond, 10 * time.Millisecond, time.Minute},
		{"one beside sensors", []load{clients{1, 100 * time.Microsecond}, poisson(1000)}, 10 * time.Millisecond, 150 * time.Microsecond, 20 * time.Second},
		{"ten beside sensors", []load{clients{10, 300 * time.Microsecond}, poisson(500)}, 10 * time.Millisecond, 150 * time.Microsecond, 5 * time.Second},
	} {
		var got [2]outcome
		for i, w := range []time.Duration{0, c.window} {
			d := disk{window: Window{Max: w}, sync: c.sync}
			for _, l := range c.loads {
				d.start(l)
			}
			got[i] = d.run(c.long)
		}
		t.Logf("%s: without a window %v; with %v", c.name, got[0], got[1])
		if float64(got[1].batches) < 0.96*float64(got[0].batches) {
			t.Errorf("%s: without a window %v; with %v", c.name, got[0], got[1])
		}
	}
}

// TestWindowFollowsTheLoad changes from sensors to clients and back, with and without idle time between them.
func TestWindowFollowsTheLoad(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Minute} {
		d := disk{window: Window{Max: 10 * time.Millisecond}, sync: 150 * time.Microsecond}
		for range 3 {
			d.comes, d.queue = nil, nil
			d.start(poisson(1000))
			d.run(10 * time.Second)
			if o := d.run(10 * time.Second); o.perBatch() > 1100 {
				t.Errorf("pause %v, sensors: %v", pause, o)
			}
			d.now += pause
			d.comes, d.queue = nil, nil
			d.start(clients{10, 100 * time.Microsecond})
			d.run(maxTrial)
			if o := d.run(10 * time.Second); o.batches < 10*int(10*time.Second/(250*time.Microsecond))*95/100 {
				t.Errorf("pause %v, clients: %v", pause, o)
			}
			d.now += pause
		}
	}
}
