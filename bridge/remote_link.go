package bridge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/bridge/pace"
	"mangrove/bridge/remote"
	"mangrove/internal/bell"
	"mangrove/mqtt"
)

// Protocol is what an edge speaks to what it dials.
type Protocol string

const (
	ProtocolAuto     Protocol = "auto"     // a link, or plain MQTT 5 where the other side is no Mangrove node
	ProtocolMangrove Protocol = "mangrove" // a link, or nothing
	ProtocolMQTT     Protocol = "mqtt"     // plain MQTT 5
)

// remoteLink is one connection of an edge to a broker that is no Mangrove node, in plain MQTT 5.
//
//	queue ─ QoS 1, window ─→ remote.Conn ─ PUBACK, in order ─→ Queue.Ack
//	ring  ─ QoS 0 ─────────→
//	announcer ─ cover ─────→ SUBSCRIBE, UNSUBSCRIBE
//	remote.Conn ─→ seen? ─ Router.Publish ─ batch stable ─→ PUBACK, in order
//
// The uplink's goroutine runs it; paho's goroutines and the store's writer mark what is due and kick.
type remoteLink struct {
	b    *Bridge
	n    *neighbour
	addr string
	log  *slog.Logger
	conn *remote.Conn
	pace *linePace
	wake bell.Bell

	decided chan struct{} // closed by stay and drop
	kept    bool          // by stay; set before decided is closed

	copies   *interest.Copies
	follower *interest.Follower      // run only
	wanted   map[string]byte         // run only: what is announced
	complete bool                    // run only: wanted is
	held     map[string]subscription // run only: what the broker may hold for us, as on disk
	granted  map[string]subscription // run only: what it was asked for on this connection
	entries  []lane.Entry            // run only
	volatile []*mqtt.Message         // run only
	messages []*mqtt.Message         // run only

	mu      sync.Mutex
	flights []remoteFlight // published, in order
	inbound []*remoteIn    // being kept, in order
	acks    []uint16       // kept, to be acknowledged, in order
	leaving bool
	err     error // why it ends
	retry   time.Duration
}

// remoteFlight is a message on the way.
type remoteFlight struct {
	pos   uint64
	topic string
	size  int // bytes
	acked bool
}

// errNotLink: the other side answered CONNECT without mqtt.LinkProperty.
var errNotLink = errors.New("not a Mangrove node")

// remoteClientID is the client id at a broker that is no Mangrove node: apart from the one a link has.
func remoteClientID(node string) string { return "mangrove-" + node }

// reachRemote dials a broker once, with the session that is kept there. What it delivers waits for stay, or for drop.
func (b *Bridge) reachRemote(ctx context.Context, n *neighbour, addr string) (*remoteLink, error) {
	var err error
	b.metrics.dials.Inc()
	l := &remoteLink{b: b, n: n, addr: addr, log: b.cfg.Log.With("addr", addr), wake: bell.New(), decided: make(chan struct{}),
		wanted: map[string]byte{}, granted: map[string]subscription{}, copies: interest.NewCopies()}
	if l.held, err = b.loadHeld(n, addr); err != nil {
		return nil, err
	}
	l.copies.Use(identifiers(l.held))
	if l.conn, err = l.dial(ctx); err != nil {
		if ctx.Err() == nil {
			b.metrics.dialErrors.Inc()
		}
		return nil, err
	}
	return l, nil
}

// stay makes the connection the uplink, and returns when it is over.
func (l *remoteLink) stay(ctx context.Context) outcome {
	b := l.b
	l.pace = newLinePace(l.conn.Unacked)
	rose := b.cfg.Now()
	defer context.AfterFunc(ctx, l.conn.Hurry)()
	l.n.openRemote(l)
	l.kept = true
	close(l.decided)
	l.follower = b.announcer.Follow(frame.Digest{}, l.kick)
	err := l.run(ctx)
	l.follower.Stop()
	l.end(err)
	l.blame(err)
	l.n.closeRemote(l, err)
	reason, told := l.conn.Disconnected()
	l.mu.Lock()
	defer l.mu.Unlock()
	return outcome{up: b.upFor(rose), retry: l.retry, err: err, closed: endedByBroker(err, reason, told)}
}

// drop ends a connection that is not wanted. The broker keeps what was not acknowledged.
func (l *remoteLink) drop() {
	close(l.decided)
	l.conn.Abort()
	<-l.conn.Done()
}

func (l *remoteLink) dial(ctx context.Context) (*remote.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, 4*l.b.cfg.Handshake)
	defer cancel()
	cfg := &l.b.cfg
	return remote.Dial(ctx, remote.Config{
		Addr: l.addr, ClientID: remoteClientID(cfg.Node), Username: cfg.Username, Password: cfg.Password,
		KeepAlive: cfg.KeepAlive, SessionExpiry: cfg.NeighbourExpiry, Timeout: cfg.Handshake,
		Window: cfg.Window, MaxPacket: cfg.MaxFrameBytes + frameRoom,
		OnMessage: l.take, OnAck: l.answered, Dial: cfg.Dial, Now: cfg.Now, Log: l.log,
	})
}

// kick makes run look for work. Does not block.
func (l *remoteLink) kick() { l.wake.Ring() }

func (l *remoteLink) run(ctx context.Context) error {
	trim := time.NewTimer(time.Hour)
	defer trim.Stop()
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	armed := false
	watch := time.NewTicker(max(l.b.cfg.AckPatience/looks, time.Millisecond))
	defer watch.Stop()
	l.b.uplink.stall.begin()
	for {
		more, err := l.step(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		if !armed && l.n.queue.Untrimmed() > 0 {
			armed = true
			trim.Reset(l.b.cfg.TrimDelay)
		}
		if l.pace.again > 0 {
			look.Reset(l.pace.again)
		}
		select {
		case <-l.wake:
		case <-look.C:
		case <-trim.C:
			armed = false
			l.n.trim()
		case <-watch.C:
			if err := l.watch(); err != nil {
				return err
			}
		case <-l.conn.Done():
			return l.conn.Err()
		case <-ctx.Done():
			return errClosing
		}
	}
}

// step does what is most urgent: acknowledgements, interest, messages.
func (l *remoteLink) step(ctx context.Context) (more bool, err error) {
	if err := l.sendAcks(); err != nil {
		return false, err
	}
	if err := l.failure(); err != nil || ctx.Err() != nil {
		return false, err
	}
	if f, ok := l.follower.Pull(pace.MaxFrame); ok {
		return true, l.hear(ctx, f)
	}
	l.b.letGo(l.follower)
	if !l.pace.room() {
		return false, nil
	}
	window, frameBytes := l.pace.bounds()
	durable, err := l.sendDurable(window, frameBytes)
	if err != nil {
		return false, err
	}
	volatile, err := l.sendVolatile(frameBytes)
	return durable || volatile, errors.Join(err, l.conn.Flush())
}

// fail ends the link, to come again after retry. The first call counts. Does not block.
func (l *remoteLink) fail(err error, retry time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failLocked(err, retry)
}

func (l *remoteLink) failLocked(err error, retry time.Duration) {
	if !l.leaving {
		l.leaving, l.err, l.retry = true, err, retry
		l.kick()
	}
}

func (l *remoteLink) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// end closes the connection; what is kept by now is still acknowledged.
func (l *remoteLink) end(err error) {
	l.fail(err, 0)
	if err := l.sendAcks(); err != nil {
		l.log.Debug("acknowledgements not sent", "error", err)
	}
	l.conn.Close()
	l.n.trim()
}

// openRemote gives the queues to l.
func (n *neighbour) openRemote(l *remoteLink) {
	n.mu.Lock()
	n.remote.Store(l)
	n.queue.Attach(l)
	n.ring.SetOpen(true)
	told := n.upLocked(l.addr)
	n.mu.Unlock()
	told = append(told, "protocol", ProtocolMQTT, "window", l.conn.Window(), "session", l.conn.SessionPresent())
	l.log.Info("link up", told...)
}

func (n *neighbour) closeRemote(l *remoteLink, err error) {
	n.queue.Detach(l)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.remote.Store(nil)
	n.ring.SetOpen(false)
	n.since, n.lastError = n.b.cfg.Now(), reasonText(err)
	n.down = n.since
	l.log.Info("link down", "protocol", ProtocolMQTT, "reason", err)
}
