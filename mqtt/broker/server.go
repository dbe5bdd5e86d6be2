package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"mangrove/mqtt/router"
	"mangrove/mqtt/transport"
)

// Server accepts connections and serves them.
//
//	New ──Start──→ accepting ──Close──→ closed
type Server struct {
	cfg      Config
	router   *router.Router
	log      *slog.Logger
	metrics  *serverMetrics
	wheel    *wheel
	sys      *sys
	lot      transport.Lot // idle connections
	steps    stepPool
	now      func() time.Time
	began    time.Time
	stop     chan struct{} // closed by Close
	grants   *grants       // where no listener has its own
	unparked unparked      // connections that cannot be parked

	complaints complaints

	// Accept loops, connections' readers, the wheel and the $SYS publisher; Close waits for all.
	running sync.WaitGroup

	mu        sync.Mutex
	listeners []*listener
	conns     map[*conn]struct{}
	closed    bool
}

// New checks cfg and returns a Server that does not accept yet.
func New(cfg Config) (*Server, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, router: cfg.Router, log: cfg.Log, metrics: newServerMetrics(cfg.Metrics), wheel: newWheel(),
		now: time.Now, began: time.Now(), stop: make(chan struct{}), conns: map[*conn]struct{}{},
	}
	s.grants = s.cfg.grant(Limits{})
	s.unparked = unparked{log: s.log, metrics: s.metrics, said: map[[2]string]bool{}}
	s.sys = newSys(s)
	s.steps.newBatch = s.newBatch
	return s, nil
}

// Start opens the listeners and returns; connections are accepted from here on. When one listener
// cannot be opened, none stays open and the error names it.
func (s *Server) Start() error {
	for _, cfg := range s.cfg.Listeners {
		l, err := s.listen(cfg)
		if err != nil {
			s.closeListeners()
			return err
		}
		s.listeners = append(s.listeners, l)
	}
	s.running.Go(func() { s.wheel.run(s.stop) })
	if s.cfg.SysInterval > 0 {
		s.running.Go(func() { s.sys.run(s.stop) })
		s.running.Go(func() { s.sys.edges(s.stop) })
	}
	for _, l := range s.listeners {
		s.running.Go(func() { s.accept(l) })
		s.log.Info("listening", "addr", l.Addr())
	}
	return nil
}

// Addrs are the addresses listened on, in the order of Config.Listeners, with the ports the system
// chose: "host:port" for TCP, with a scheme for the others.
func (s *Server) Addrs() []string {
	addrs := make([]string, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = strings.TrimPrefix(l.Addr(), "tcp://")
	}
	return addrs
}

// Close stops accepting, tells each client that the server shuts down, detaches the sessions, and
// waits for all of it; when ctx ends first, connections are cut. It may be called twice, from anywhere.
func (s *Server) Close(ctx context.Context) error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.mu.Unlock()
	if first {
		close(s.stop)
	}
	err := s.closeListeners()
	s.each((*conn).shutDown)
	done := make(chan struct{})
	go func() { // ends when everything has ended, which cutting the connections below ensures
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return errors.Join(err, s.lot.Close())
	case <-ctx.Done():
		s.each(func(c *conn) { c.nc.Close() }) // an error means that it is closed already
		<-done
		return errors.Join(err, s.lot.Close(), ctx.Err())
	}
}

func (s *Server) closeListeners() (err error) {
	for _, l := range s.listeners {
		if e := l.Close(); e != nil {
			err = errors.Join(err, fmt.Errorf("close listener %s: %w", l.name, e))
		}
	}
	return err
}

func (s *Server) each(fn func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		fn(c)
	}
}
