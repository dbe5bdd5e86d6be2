package bench

import (
	"fmt"
	"net/netip"
	"time"
)

// Bounds of conns.
const (
	connsPerAddress = 1000            // of 127.0.0.0/8, as many machines would come
	connsKeepAlive  = 600             // seconds; idle connections have a keep alive in real life
	ConnsRest       = 3 * time.Second // until memory is looked at
)

// runConns opens idle connections, looks at the broker's memory, and asks each whether it is still there.
func (f *flow) runConns(r *Result) error {
	if f.cfg.TLS {
		return f.runSecret(r)
	}
	f.show.phase = "connecting"
	all := make([]*conn, f.cfg.Count)
	for i := range all {
		all[i] = f.client(fmt.Sprintf("c%d", i))
		all[i].keepAlive = connsKeepAlive
		all[i].local = f.address(f.cfg.First + i)
	}
	before, err := f.broker()
	if err != nil {
		return err
	}
	err = f.measure(r, func() uint64 { return 0 }, func() error { return f.connect(true, all...) })
	if err != nil {
		return err
	}
	if f.cfg.Release != nil {
		return f.hold(all)
	}
	r.ConnectsPerSecond = float64(len(all)) / r.Seconds
	if err := f.l.forNow(ConnsRest); err != nil {
		return err
	}
	after, err := f.broker()
	if err != nil {
		return err
	}
	r.IdleRSS = before.RSS
	r.RSS, r.BytesPerConnection = after.RSS, float64(after.RSS-before.RSS)/float64(len(all))
	r.GeneratorCPU, r.Written, r.CPUPerMillion = 0, 0, 0 // there were no messages
	return f.pingAll(all)
}

// hold keeps the connections until another process has looked at the broker.
func (f *flow) hold(all []*conn) error {
	f.show.phase = "holding"
	if err := f.cfg.Connected(); err != nil {
		return err
	}
	if err := f.l.until(f.cfg.Release); err != nil {
		return err
	}
	return f.pingAll(all)
}

func (f *flow) broker() (Usage, error) {
	if f.cfg.PID == 0 {
		return Usage{}, nil
	}
	return UsageOf(f.cfg.PID)
}

func (f *flow) pingAll(all []*conn) error {
	f.show.phase = "asking each"
	for _, c := range all {
		c.ping()
	}
	err := f.within(setUpTime, "ping", func() (bool, error) {
		for len(all) > 0 && all[0].pongs > 0 {
			all = all[1:]
		}
		return len(all) == 0, nil
	})
	if err == nil {
		f.leave()
	}
	return err
}

// address is the source address of client i where many ports are needed; invalid = the kernel chooses.
func (f *flow) address(i int) (a netip.Addr) {
	if f.to.Addr().Is4() && f.to.Addr().IsLoopback() {
		n := i/connsPerAddress + 2
		a = netip.AddrFrom4([4]byte{127, 0, byte(n >> 8), byte(n)})
	}
	return a
}
