package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Bounds of the server.
const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 10 * time.Second
	maxHeader     = 4 << 10
)

// stallTimeout is how long the reader of a backup may take for one part of it. A backup holds on to the database as it was, which grows
// meanwhile.
const stallTimeout = time.Minute

// errorTrailer says why a backup is not whole.
const errorTrailer = "X-Error"

// Config of a Server. Dir and Backup must be set; without Operator its requests are refused.
type Config struct {
	Dir      string                                  // data folder, which this process has for itself
	Backup   func(w io.Writer) error                 // writes the node's state of one moment
	Compact  func() (before, after int64, err error) // gives free space of the database back; nil = not while the node runs
	Operator Operator
	Log      *slog.Logger // nil = silent
}

// Server serves one data folder's socket.
type Server struct {
	cfg  Config
	path string
	http *http.Server
	done chan struct{} // closed when the accept goroutine has ended

	requests sync.WaitGroup
	close    sync.Once
	closed   error

	mu      sync.Mutex
	busy    [2]bool // a backup, a compaction is under way
	closing bool
}

// Kinds of work, in Server.busy.
const (
	backingUp = iota
	compacting
)

// Serve listens and serves until Close.
func Serve(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, err := listen(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("make control socket: %w", err)
	}
	s := &Server{cfg: cfg, path: filepath.Join(cfg.Dir, SocketName), done: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/backup", s.one(backingUp, "backup", s.backup))
	mux.HandleFunc("POST /v1/compact", s.one(compacting, "compaction", s.compact))
	s.operatorRoutes(mux)
	s.http = &http.Server{Handler: mux, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug)}
	go s.serve(l) // owned by s, ended and awaited by Close
	return s, nil
}

func (s *Server) serve(l *net.UnixListener) {
	defer close(s.done)
	if err := s.http.Serve(admitting{l, s.cfg.Log}); !errors.Is(err, http.ErrServerClosed) {
		s.cfg.Log.Error("control socket stopped", "err", err)
	}
}

// admitting closes connections of those who may not use the socket.
type admitting struct {
	*net.UnixListener
	log *slog.Logger
}

func (a admitting) Accept() (net.Conn, error) {
	for {
		c, err := a.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if err := admit(c); err != nil {
			a.log.Warn("control socket: connection refused", "err", err)
			c.Close() // nothing was said on it
			continue
		}
		return c, nil
	}
}

// one lets one request of its kind in at a time.
func (s *Server) one(kind int, what string, handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.begin(kind) {
			http.Error(w, "another "+what+" is under way", http.StatusConflict)
			return
		}
		defer s.end(kind)
		handle(w, r)
	}
}

func (s *Server) begin(kind int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[kind] || s.closing {
		return false
	}
	s.busy[kind] = true
	s.requests.Add(1)
	return true
}

func (s *Server) end(kind int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy[kind] = false
	s.requests.Done()
}

func (s *Server) backup(w http.ResponseWriter, _ *http.Request) {
	began := time.Now()
	w.Header().Set("Trailer", errorTrailer)
	body := &patient{w: w, deadline: http.NewResponseController(w)}
	err := s.cfg.Backup(body)
	switch {
	case err == nil:
		s.cfg.Log.Info("backed up", "bytes", body.n, "took", time.Since(began).Round(time.Millisecond).String())
		return
	case body.n == 0:
		w.Header().Del("Trailer")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		w.Header().Set(errorTrailer, err.Error())
	}
	s.cfg.Log.Warn("backup failed", "bytes", body.n, "err", err)
}

// patient gives the reader stallTimeout for each part.
type patient struct {
	w        io.Writer
	deadline *http.ResponseController
	n        int64
}

func (p *patient) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // nothing is to be said yet, not even 200
	}
	if err := p.deadline.SetWriteDeadline(time.Now().Add(stallTimeout)); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}

// sizes is what a compaction answers.
type sizes struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

func (s *Server) compact(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Compact == nil {
		http.Error(w, "a database is compacted only while its node is stopped", http.StatusNotImplemented)
		return
	}
	before, after, err := s.cfg.Compact()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err := json.NewEncoder(w).Encode(sizes{before, after}); err != nil {
		s.cfg.Log.Debug("compaction not told", "err", err)
	}
}

// Close cuts what is under way and removes the socket. It may be called twice; both wait.
func (s *Server) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		s.closed = s.http.Close()
		<-s.done
		s.requests.Wait()
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.closed = errors.Join(s.closed, err)
		}
	})
	return s.closed
}
