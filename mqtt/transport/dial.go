package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/gobwas/ws"

	"mangrove/internal/setting"
)

// DefaultDialTimeout bounds Dial where DialConfig has no other value.
const DefaultDialTimeout = 15 * time.Second

// DialConfig is how to dial. The zero DialConfig does for public certificates. Zero and negative numbers mean what package
// setting says.
type DialConfig struct {
	TLS     *tls.Config   // for tls and wss; nil = the system's roots; the server's name is filled in
	Timeout time.Duration // for connecting, and then for handshakes while hardly a byte moves; zero = DefaultDialTimeout
	Header  http.Header   // added to the WebSocket request
}

// Dial connects to addr as ParseAddr reads it. ctx and the timeout count until Dial returns, not after.
func Dial(ctx context.Context, addr string, cfg DialConfig) (net.Conn, error) {
	a, err := ParseAddr(addr)
	if err != nil {
		return nil, err
	}
	if err := setting.Default("Timeout", &cfg.Timeout, DefaultDialTimeout); err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	c, err := dial(ctx, a, cfg)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", a, err)
	}
	return c, nil
}

func dial(ctx context.Context, a Addr, cfg DialConfig) (net.Conn, error) {
	d := net.Dialer{Timeout: cfg.Timeout, KeepAlive: -1} // MQTT has its own
	if a.Scheme == Unix {
		return d.DialContext(ctx, "unix", a.Path)
	}
	c, err := d.DialContext(ctx, "tcp", a.Host)
	if err != nil {
		return nil, err
	}
	moving, stop := WhileMoving(ctx, c, cfg.Timeout)
	defer stop()
	ready, err := shakeAsClient(moving, c, a, cfg)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return ready, nil
}

// shakeAsClient does the client's half of the handshakes of a's scheme, until ctx ends.
func shakeAsClient(ctx context.Context, c net.Conn, a Addr, cfg DialConfig) (net.Conn, error) {
	raw := c
	interrupted := context.AfterFunc(ctx, func() { abandon(raw) })
	var err error
	if a.Secure() {
		c, err = secureClient(ctx, c, a, cfg.TLS)
	}
	if err == nil && a.web() {
		c, err = upgradeClient(c, a, cfg.Header)
	}
	if !interrupted() {
		err = context.Cause(ctx)
	}
	return c, err
}

func secureClient(ctx context.Context, c net.Conn, a Addr, cfg *tls.Config) (net.Conn, error) {
	if cfg == nil {
		cfg = &tls.Config{}
	}
	cfg = withVersion(cfg)
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(a.Host)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
	}
	secure := tls.Client(c, cfg)
	return secure, secure.HandshakeContext(ctx)
}

func upgradeClient(c net.Conn, a Addr, header http.Header) (net.Conn, error) {
	path := a.Path
	if path == "" {
		path = "/"
	}
	d := ws.Dialer{Protocols: []string{subprotocol}, ReadBufferSize: 1024, WriteBufferSize: 512} // [MQTT-6.0.0-3]
	if header != nil {
		d.Header = ws.HandshakeHeaderHTTP(header)
	}
	buffered, hs, err := d.Upgrade(c, &url.URL{Scheme: a.Scheme, Host: a.Host, Path: path})
	if err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	if hs.Protocol != subprotocol {
		return nil, errSubprotocol
	}
	var rest []byte
	if buffered != nil {
		rest = make([]byte, buffered.Buffered())
		if _, err := io.ReadFull(buffered, rest); err != nil {
			return nil, fmt.Errorf("websocket: %w", err)
		}
	}
	return newWSConn(c, true, rest), nil
}
