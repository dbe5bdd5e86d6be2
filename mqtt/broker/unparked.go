package broker

import (
	"context"
	"log/slog"
	"net"
	"sync"

	"mangrove/mqtt/transport"
)

// unparked reports the connections that keep a goroutine and a buffer while they are idle (see transport.Unparked), so that
// a machine that holds fewer of them than it should tells why. Safe for concurrent use.
type unparked struct {
	log     *slog.Logger
	metrics *serverMetrics

	mu   sync.Mutex
	said map[[2]string]bool // by listener and reason; as many as the operator has listeners
}

// report counts nc if it is one, and logs the first of each listener.
func (u *unparked) report(nc net.Conn, listener string) {
	why := transport.Unparked(nc)
	if why == "" {
		return
	}
	u.metrics.unparked(why)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.said[[2]string{listener, why}] {
		return
	}
	u.said[[2]string{listener, why}] = true
	level := slog.LevelDebug // as it must be with TLS and WebSocket
	if why == transport.UnparkedWrapped {
		level = slog.LevelWarn
	}
	u.log.Log(context.Background(), level, "connections cost a goroutine each while they are idle", "listener", listener, "reason", why)
}
