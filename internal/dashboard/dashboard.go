// Package dashboard is what a node shows over HTTP:
//
//	/healthz        200 while the process serves
//	/readyz         200 while clients are accepted and writes can be kept; else 503 and why
//	/metrics        Prometheus text: the node's counters, then the process's
//	/api/v1/status  Status as JSON
//	/               the same for a person
//	/debug/pprof/   profiles of the runtime, when Config says so
//
// The package knows no other part of the node: what there is to say comes through Config. Its one
// goroutine, and those net/http starts for connections, belong to Server and end with Close.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"mangrove/internal/metrics"
)

// Bounds of the HTTP server. A client beyond them is disconnected or waits to be accepted.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	maxHeader     = 16 << 10
	maxConns      = 64
)

// Config of a Server. Address, Status and Ready must be set.
type Config struct {
	Address string            // HOST:PORT to listen on
	Status  func() Status     // asked on each request; must be quick and safe for concurrent use
	Remark  func() string     // one line that a ready node says as well; "" = nothing to say. nil = never
	Ready   func() error      // nil when the node accepts clients and keeps messages, else why not
	Profile bool              // serve /debug/pprof/ too
	Metrics *metrics.Registry // nil = only the process's metrics
	Log     *slog.Logger      // nil = silent
}

// Server is the HTTP server of one node.
type Server struct {
	cfg  Config
	ln   net.Listener
	http *http.Server
	done chan struct{} // closed when the accept goroutine has ended
}

// Start listens and serves until Close.
func Start(cfg Config) (*Server, error) {
	if cfg.Status == nil || cfg.Ready == nil {
		return nil, errors.New("start dashboard: Status and Ready must be set")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ln, err := net.Listen("tcp", cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("listen for http: %w", err)
	}
	s := &Server{cfg: cfg, ln: ln, done: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	go s.serve() // owned by s, ended and awaited by Close
	return s, nil
}

func (s *Server) serve() {
	defer close(s.done)
	err := s.http.Serve(newLimited(s.ln, maxConns))
	if !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Log.Error("http stopped", "err", err)
	}
}

// Addr is the address listened on.
func (s *Server) Addr() net.Addr { return s.ln.Addr() }

// Close lets running requests finish until ctx ends, then cuts them. It may be called twice.
func (s *Server) Close(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("close http: %w", err), s.http.Close())
	}
	<-s.done
	return err
}
