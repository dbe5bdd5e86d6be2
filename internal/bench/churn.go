package bench

import (
	"errors"
	"fmt"
	"time"

	"mangrove/mqtt/packet"
)

const (
	churnHolders = 100 // clients that hold the subscriptions that stay
	churners     = 10  // clients that subscribe and unsubscribe

	manyTime = 10 * time.Minute // of subscribing to as many as there may be
)

// runChurn measures subscribing and unsubscribing at a broker that holds Count subscriptions.
func (f *flow) runChurn(r *Result) error {
	f.show.phase = "connecting"
	f.cfg.QoS = 0
	for i := range min(churnHolders, f.cfg.Count) {
		f.subs = append(f.subs, newSubscriber(f, fmt.Sprintf("h%d", i)))
	}
	all := make([]*churner, churners)
	for i := range all {
		all[i] = newChurner(f, i)
	}
	changers := conns(all, func(c *churner) *conn { return c.c })
	before, err := f.broker()
	if err := errors.Join(err, f.connect(true, f.subConns()...), f.connect(true, changers...)); err != nil {
		return err
	}
	f.show.phase = "subscribing"
	if err := f.holdMany(); err != nil {
		return err
	}
	if err := f.l.forNow(ConnsRest); err != nil {
		return err
	}
	after, err := f.broker()
	if err != nil {
		return err
	}
	if err := f.change(r, all); err != nil {
		return err
	}
	r.IdleRSS, r.BytesPerSubscription = before.RSS, float64(after.RSS-before.RSS)/float64(f.cfg.Count)
	f.leave()
	return nil
}

// holdMany subscribes the holders, one SUBSCRIBE of each at a time.
func (f *flow) holdMany() error {
	next := 0
	return f.within(manyTime, "subscribe", func() (bool, error) {
		awaited := 0
		for _, s := range f.subs {
			if s.c.subacks == 0 && next < f.cfg.Count {
				s.c.subscribe(0, f.share(next)...)
				next += filtersAtOnce
			}
			awaited += s.c.subacks
		}
		return awaited == 0, nil
	})
}

// share is the filters from number first on that go into one SUBSCRIBE.
func (f *flow) share(first int) []string {
	filters := make([]string, 0, filtersAtOnce)
	for i := first; i < min(first+filtersAtOnce, f.cfg.Count); i++ {
		filters = append(filters, f.topic(fmt.Sprintf("site/%d/+/%d", i%1000, i/1000)))
	}
	return filters
}

// change lets the churners go, first to warm up.
func (f *flow) change(r *Result, all []*churner) error {
	f.show.phase = "warming up"
	for _, c := range all {
		c.going = true
		c.more()
	}
	if err := f.l.forNow(max(0, f.cfg.WarmUp)); err != nil {
		return err
	}
	f.show.phase = "measuring"
	err := f.measure(r, func() uint64 { return f.delivered }, func() error { return f.l.forNow(f.cfg.Duration) })
	for _, c := range all {
		c.going = false
	}
	return err
}

// churner subscribes to a filter, unsubscribes from it, and goes on with others. Window such pairs are under way.
type churner struct {
	c     *conn
	f     *flow
	place string
	next  int
	asked []int64 // when pair number next % window was sent
	done  int
	going bool
}

// churnFilters is how many filters a churner has in turn, more than any window.
const churnFilters = maxWindow + 1

func newChurner(f *flow, i int) *churner {
	c := &churner{c: f.client(fmt.Sprintf("c%d", i)), f: f, place: fmt.Sprintf("site/%d/+/change", i), asked: make([]int64, f.cfg.Window)}
	c.c.role = c
	return c
}

// more sends what the window allows. Answers come in the order of the questions.
func (c *churner) more() {
	for ; c.going && c.next-c.done < len(c.asked); c.next++ {
		c.asked[c.next%len(c.asked)] = c.f.l.now
		filter := c.f.topic(fmt.Sprintf("%s/%d", c.place, c.next%churnFilters))
		c.c.subscribe(0, filter)
		p := packet.Unsubscribe{PacketID: uint16(c.next%maxWindow) + 1, Filters: []string{filter}}
		c.c.send(p.Append(c.c.out, c.c.v))
	}
}

func (c *churner) packet(_ *conn, kind packet.Type, flags byte, body []byte) error {
	if kind != packet.UNSUBACK {
		return fmt.Errorf("got %v, which was not expected", kind)
	}
	var p packet.Unsuback
	if err := p.Decode(flags, body, c.c.v); err != nil {
		return err
	}
	c.f.count(inOrder, &stamp{due: c.asked[c.done%len(c.asked)]})
	c.done++
	c.more()
	return nil
}
