package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"
)

// dialTimeout bounds one attempt to reach the target; the client's connection is reset after it.
const dialTimeout = 5 * time.Second

// ProxyConfig says where a Proxy listens and where it leads.
type ProxyConfig struct {
	Listen string // "" = 127.0.0.1:0
	Target string // required
	Log    *slog.Logger
}

// Fault is how a Proxy fails after Cut. The zero value is the hardest one to notice: no byte passes and
// nobody is told, as when a cable is pulled behind a router.
type Fault struct {
	Reset  bool // open connections are reset; otherwise they stay open and silent
	Refuse bool // new connections are reset at once; otherwise they are accepted and stay silent
}

// Proxy forwards TCP connections to a target and can be told to be a bad network. Safe for concurrent use.
//
//	        Cut                    Heal
//	open ─────────▶ cut(Fault) ─────────▶ open
//
// Connections that were silent go on after Heal and lose no byte, as TCP does over a short outage.
type Proxy struct {
	listener net.Listener
	target   string
	log      *slog.Logger
	ctx      context.Context
	cancel   context.CancelFunc
	owned    sync.WaitGroup // accept loop, links and their pipes

	mu    sync.Mutex
	open  chan struct{} // closed while bytes may pass
	fault *Fault        // nil = healthy
	line  line
	links map[*link]struct{}
}

// line is the quality of the way while it is open.
type line struct {
	delay, jitter time.Duration
	rate          int // bytes per second and direction, 0 = no limit
}

// StartProxy listens and forwards until Close.
func StartProxy(cfg ProxyConfig) (*Proxy, error) {
	if cfg.Target == "" {
		return nil, errors.New("start proxy: no target")
	}
	if cfg.Listen == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("start proxy: %w", err)
	}
	p := &Proxy{listener: listener, target: cfg.Target, log: cfg.Log, open: make(chan struct{}), links: map[*link]struct{}{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	close(p.open)
	p.owned.Add(1)
	go p.accept() // ends when Close closes the listener; Close waits
	return p, nil
}

// Addr is the address to connect to, as host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Connections is the number of connections that are open now, silent ones included.
func (p *Proxy) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut makes the network fail until Heal. A second Cut changes the fault.
func (p *Proxy) Cut(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault == nil {
		p.open = make(chan struct{})
	}
	p.fault = &f
	if f.Reset {
		p.resetLocked()
	}
}

// Heal lets bytes pass again. Nothing happens when nothing was cut.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault != nil {
		p.fault = nil
		close(p.open)
	}
}

// Reset resets the connections that are open now; new ones are not affected.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resetLocked()
}

func (p *Proxy) resetLocked() {
	for l := range p.links {
		l.reset()
	}
}

// SetDelay delays what enters from now on by delay plus up to jitter, in each direction. Order is kept.
func (p *Proxy) SetDelay(delay, jitter time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line.delay, p.line.jitter = delay, jitter
}

// SetRate limits each direction of each connection to so many bytes per second; 0 lifts the limit.
func (p *Proxy) SetRate(bytesPerSecond int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line.rate = max(bytesPerSecond, 0)
}

// Close ends the listener and every connection and waits for the goroutines. It may be called twice.
func (p *Proxy) Close() error {
	p.cancel()
	err := p.listener.Close()
	p.Reset()
	p.owned.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *Proxy) accept() {
	defer p.owned.Done()
	for {
		conn, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			p.log.Warn("accept", "error", err)
			if !sleep(p.ctx, 10*time.Millisecond) {
				return
			}
			continue
		}
		p.admit(conn)
	}
}

// admit starts forwarding conn, or resets it when the fault says so.
func (p *Proxy) admit(conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ctx.Err() != nil || p.fault != nil && p.fault.Refuse {
		resetConn(conn)
		return
	}
	l := newLink(p, conn)
	p.links[l] = struct{}{}
	p.owned.Add(1)
	go l.run() // ends when both pipes have ended; Close waits
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// pass waits until bytes may pass; false = ctx ended first.
func (p *Proxy) pass(ctx context.Context) bool {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	select {
	case <-open:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (p *Proxy) quality() line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.line
}

func (p *Proxy) dial(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	return d.DialContext(ctx, "tcp", p.target)
}

// sleep waits for d; false = ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// resetConn closes conn so that the other end gets RST rather than FIN.
func resetConn(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only on a closed socket, which is what is wanted
	}
	_ = conn.Close()
}
