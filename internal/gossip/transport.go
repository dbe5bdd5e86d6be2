package gossip

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
)

// transport is memberlist's, except that dialling and what it led to ends with the pool.
type transport struct {
	*memberlist.NetTransport
	ctx context.Context
}

// bindTries is how often a free port is looked for that is free for both TCP and UDP.
const bindTries = 20

func newTransport(ctx context.Context, bind netip.AddrPort, logger *log.Logger) (*transport, error) {
	tries := 1
	if bind.Port() == 0 {
		tries = bindTries
	}
	var err error
	for range tries {
		var t *memberlist.NetTransport
		t, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{
			BindAddrs: []string{bind.Addr().String()},
			BindPort:  int(bind.Port()),
			Logger:    logger,
		})
		if err == nil {
			return &transport{t, ctx}, nil
		}
	}
	return nil, err
}

func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout}
	c, err := d.DialContext(t.ctx, "tcp", a.Addr)
	if err != nil {
		return nil, err
	}
	return &conn{c, context.AfterFunc(t.ctx, func() { c.Close() })}, nil
}

// conn is closed when the pool ends.
type conn struct {
	net.Conn
	stop func() bool
}

func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// advertised splits Config.Advertise into the IP and port memberlist wants.
func advertised(ctx context.Context, advertise string, bound int) (ip string, port int, err error) {
	if advertise == "" {
		return "", 0, nil
	}
	host, sport, err := net.SplitHostPort(advertise)
	if err != nil {
		host, sport = advertise, "0"
	}
	port, err = strconv.Atoi(sport)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("advertise %q: want host:port", advertise)
	}
	if port == 0 {
		port = bound
	}
	ips, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return "", 0, fmt.Errorf("advertise %q: %w", advertise, err)
	}
	return ips[0], port, nil
}
