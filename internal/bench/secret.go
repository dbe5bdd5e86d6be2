package bench

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"mangrove/mqtt/packet"
)

const (
	secretAtOnce = 16               // TLS handshakes under way
	secretTime   = 10 * time.Second // of one exchange
)

// runSecret is runConns with TLS. The loop knows sockets only, so these connections are the standard library's, each
// used by one goroutine at a time; they are idle anyway while memory is looked at.
func (f *flow) runSecret(r *Result) error {
	f.show.phase = "connecting"
	before, err := f.broker()
	if err != nil {
		return err
	}
	all := make([]net.Conn, f.cfg.Count)
	defer func() {
		for _, nc := range all {
			if nc != nil {
				nc.Close() // nothing to do about an error
			}
		}
	}()
	made := uint64(0)
	err = f.measure(r, func() uint64 { return made }, func() error {
		err := inTurns(len(all), func(i int) (err error) { all[i], err = f.greet(i); return err })
		made = uint64(len(all))
		return err
	})
	if err := errors.Join(err, f.l.forNow(ConnsRest)); err != nil {
		return err
	}
	after, err := f.broker()
	if err != nil {
		return err
	}
	r.ConnectsPerSecond = r.Rate
	r.IdleRSS, r.RSS, r.BytesPerConnection = before.RSS, after.RSS, float64(after.RSS-before.RSS)/float64(len(all))
	f.show.phase = "asking each"
	var ping packet.Pingreq
	return inTurns(len(all), func(i int) error {
		return exchange(all[i], ping.Append(nil, f.cfg.Version), packet.PINGRESP)
	})
}

// greet opens connection number i and waits for its CONNACK.
func (f *flow) greet(i int) (net.Conn, error) {
	c := f.client(fmt.Sprintf("c%d", i))
	c.keepAlive = connsKeepAlive
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: secretTime}, Config: &tls.Config{InsecureSkipVerify: true}}
	if a := f.address(f.cfg.First + i); a.IsValid() {
		d.NetDialer.LocalAddr = &net.TCPAddr{IP: a.AsSlice()}
	}
	ctx, cancel := context.WithTimeout(f.l.ctx, secretTime)
	defer cancel()
	nc, err := d.DialContext(ctx, "tcp", f.to.String())
	if err != nil {
		return nil, fmt.Errorf("connect with TLS: %w", err)
	}
	if err := exchange(nc, f.greeting(c, true), packet.CONNACK); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return nc, nil
}

// exchange sends a packet and wants one of kind back, with success where it says so.
func exchange(nc net.Conn, out []byte, kind packet.Type) error {
	if err := nc.SetDeadline(time.Now().Add(secretTime)); err != nil {
		return err
	}
	if _, err := nc.Write(out); err != nil {
		return err
	}
	in := make([]byte, 0, 256) // more than a CONNACK is
	for {
		n, err := nc.Read(in[len(in):cap(in)])
		in = in[:len(in)+n]
		total, header, _, fault := packet.Frame(in, 0)
		switch {
		case total > 0:
			return answers(in[0], in[header:total], kind)
		case err != nil || fault != nil:
			return errors.Join(err, fault)
		case len(in) == cap(in):
			return fmt.Errorf("got a packet of more than %d bytes, want %v", cap(in), kind)
		}
	}
}

// answers says whether a packet is of a kind and, if it is a CONNACK, a good one.
func answers(first byte, body []byte, kind packet.Type) error {
	if got := packet.Type(first >> 4); got != kind {
		return fmt.Errorf("got %v, want %v", got, kind)
	}
	if kind == packet.CONNACK && body[1] != 0 { // flags, then the reason code
		return fmt.Errorf("connect: the broker answered %v", packet.ReasonCode(body[1]))
	}
	return nil
}

// inTurns calls do for 0 to n-1, some at a time, and returns when all have ended.
func inTurns(n int, do func(i int) error) error {
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		next   int
		faults []error
	)
	for range min(secretAtOnce, n) {
		wg.Go(func() { // ends when nothing is left, or at the first fault
			for {
				mu.Lock()
				i := next
				next++
				stop := i >= n || len(faults) > 0
				mu.Unlock()
				if stop {
					return
				}
				if err := do(i); err != nil {
					mu.Lock()
					faults = append(faults, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(faults...)
}
