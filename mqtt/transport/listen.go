package transport

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"mangrove/internal/setting"
)

// Defaults of Config.
const (
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultMaxConns         = 100_000
	DefaultMaxHandshakes    = 256
)

// ErrFull is what Config.Rejected gets for a connection above MaxConns.
var ErrFull = errors.New("listener has its maximum of connections")

// ErrHandshake is wrapped in what Config.Rejected gets for a PROXY header, TLS or WebSocket handshake that failed.
var ErrHandshake = errors.New("handshake failed")

// Config is how to listen. The zero Config does for tcp, ws and unix. Zero and negative numbers mean what package setting
// says: zero is the default above.
type Config struct {
	TLS *tls.Config // certificates, for tls and wss; versions below TLS 1.2 are not offered unless it says so

	// Proxy says that each connection begins with a header of the PROXY protocol, version 1 or 2; one without
	// is closed. The address in it becomes the connection's RemoteAddr. Whoever reaches such a listener can
	// claim any address, so only the proxy may.
	Proxy bool

	// HandshakeTimeout bounds PROXY header, TLS and WebSocket handshake together; while bytes move they may take four times
	// as long.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds the handshakes under way at once; above, newcomers wait in the kernel's backlog and the
	// slowest are dropped.
	MaxHandshakes int
	// MaxConns bounds the open connections; above, newcomers are closed at once. Negative = no bound.
	MaxConns int

	// Rejected is told of each connection that Accept will not return, and why. nil = nobody is.
	// Called from several goroutines; must not block.
	Rejected func(remote net.Addr, err error)
	Log      *slog.Logger // nil = discard
}

// Listener accepts connections. Safe for concurrent use.
type Listener interface {
	// Accept waits for the next connection that is ready to carry MQTT. Passing troubles, such as no free
	// file descriptors, are waited out; the only error is net.ErrClosed, after Close.
	Accept() (net.Conn, error)
	// Addr is the address in full with the port the system chose, as "tcp://127.0.0.1:41234".
	Addr() string
	// Scheme is the scheme of Addr.
	Scheme() string
	// Close ends the listener and what is half-open, unblocks Accept, and leaves accepted connections
	// alone. May be called twice.
	Close() error
}

// Listen starts to listen on addr as ParseAddr reads it.
func Listen(addr string, cfg Config) (Listener, error) {
	a, err := ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	if err := cfg.check(a); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", a, err)
	}
	raw, err := listenSocket(a)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", a, err)
	}
	if a.Scheme != Unix {
		a.Host = raw.Addr().String()
	}
	s := newSocket(raw, a, cfg)
	if !a.Secure() && !a.web() && !cfg.Proxy {
		return s, nil
	}
	return newShaker(s, cfg), nil
}

func listenSocket(a Addr) (net.Listener, error) {
	if a.Scheme == Unix {
		return listenUnix(a.Path)
	}
	return net.Listen("tcp", a.Host)
}

// check fills in the defaults.
func (c *Config) check(a Addr) error {
	setting.Bound(&c.MaxConns, DefaultMaxConns)
	err := errors.Join(
		setting.Default("HandshakeTimeout", &c.HandshakeTimeout, DefaultHandshakeTimeout),
		setting.Default("MaxHandshakes", &c.MaxHandshakes, DefaultMaxHandshakes),
	)
	if err != nil {
		return err
	}
	if c.Rejected == nil {
		c.Rejected = func(net.Addr, error) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if a.Secure() {
		return c.checkTLS()
	}
	return nil
}

func (c *Config) checkTLS() error {
	if c.TLS == nil || len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil {
		return errors.New("a certificate is needed")
	}
	c.TLS = withVersion(c.TLS)
	return nil
}

// withVersion makes TLS 1.2 the floor where cfg names none.
func withVersion(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	if cfg.MinVersion == 0 {
		cfg.MinVersion = tls.VersionTLS12
	}
	return cfg
}
