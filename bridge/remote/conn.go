package remote

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"mangrove/mqtt/transport"
)

// Conn is one connection to a broker. Publish, Flush, Ping, Ack, Subscribe and Unsubscribe are for one goroutine;
// the rest is safe for concurrent use.
//
//	Dial → connected ─┬ Close: DISCONNECT, the session stays ┬→ Done
//	                  └ network, broker, protocol error ─────┘
type Conn struct {
	cfg     Config
	wire    *wire
	session *session
	paho    *paho.Client
	connack *paho.Connack

	mu  sync.Mutex
	err error
}

// closeGrace bounds how long DISCONNECT may take to leave.
const closeGrace = time.Second

// answerTimeout is what paho gives an answer: for ever. How long it may really take is for patient to say.
const answerTimeout = 1000 * time.Hour

// patient is ctx, and ends when the broker does not answer and hardly a byte has moved for Config.Timeout: an answer may stand
// behind a large message.
func (c *Conn) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return transport.WhileMoving(ctx, c.wire.Conn, c.cfg.Timeout)
}

// ErrQoS means that the broker takes QoS 0 only, so nothing could be handed to it for sure.
var ErrQoS = errors.New("broker takes QoS 0 only")

// Dial connects with a session that outlives the connection, and waits for CONNACK.
func Dial(ctx context.Context, cfg Config) (*Conn, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("connect to broker: %w", err)
	}
	conn, err := cfg.Dial(ctx, cfg.Addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{cfg: cfg, session: newSession(cfg.OnAck)}
	c.wire = newWire(conn, cfg.MaxPacket)
	c.session.fail = c.fail
	c.paho = paho.NewClient(paho.ClientConfig{
		ClientID: cfg.ClientID, Conn: c.wire, Session: c.session, PacketTimeout: answerTimeout, PingHandler: newPinger(),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){c.received},
		OnClientError:     c.note,
	})
	ctx, stop := c.patient(ctx)
	defer stop()
	c.connack, err = c.paho.Connect(ctx, c.connect())
	if err != nil {
		conn.Close() // paho did already, but not on every path
		return nil, c.refused(err)
	}
	if p := c.connack.Properties; p != nil && p.MaximumQoS != nil && *p.MaximumQoS == 0 {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", cfg.Addr, ErrQoS)
	}
	return c, nil
}

func (c *Conn) refused(err error) error {
	if c.connack != nil && c.connack.ReasonCode >= 0x80 {
		return fmt.Errorf("connect to %s: refused with reason code 0x%02X: %w", c.cfg.Addr, c.connack.ReasonCode, err)
	}
	return fmt.Errorf("connect to %s: %w", c.cfg.Addr, err)
}

// connect is the CONNECT packet. Receive Maximum is always said: paho allocates for it.
func (c *Conn) connect() *paho.Connect {
	window, largest, expiry := uint16(c.cfg.Window), uint32(c.cfg.MaxPacket), seconds(c.cfg.SessionExpiry)
	return &paho.Connect{
		ClientID: c.cfg.ClientID, KeepAlive: uint16(min(seconds(c.cfg.KeepAlive), math.MaxUint16)),
		Username: c.cfg.Username, UsernameFlag: c.cfg.Username != "",
		Password: c.cfg.Password, PasswordFlag: c.cfg.Password != nil,
		Properties: &paho.ConnectProperties{
			SessionExpiryInterval: &expiry, ReceiveMaximum: &window, MaximumPacketSize: &largest, RequestProblemInfo: true,
		},
	}
}

// seconds rounds up; beyond all bounds is for ever.
func seconds(d time.Duration) uint32 {
	return uint32(min(max((int64(d)+int64(time.Second)-1)/int64(time.Second), 0), math.MaxUint32))
}

// SessionPresent reports whether the broker had a session of ours.
func (c *Conn) SessionPresent() bool { return c.connack.SessionPresent }

// Window is how many QoS 1 messages may be unacknowledged: the broker's Receive Maximum or Config.Window
// [MQTT-3.3.4-7].
func (c *Conn) Window() int {
	if p := c.connack.Properties; p != nil && p.ReceiveMaximum != nil {
		return min(int(*p.ReceiveMaximum), c.cfg.Window)
	}
	return c.cfg.Window
}

// Unacked is how many bytes were written that the broker's kernel has not acknowledged; 0 where nobody can tell.
func (c *Conn) Unacked() int {
	m, _ := transport.MovedOn(c.wire)
	return m.Unacked
}

// Ping sends PINGREQ, besides those that Config.KeepAlive asks for.
func (c *Conn) Ping() error {
	c.wire.Lock()
	_, err := c.wire.Write([]byte{packets.PINGREQ << 4, 0})
	c.wire.Unlock()
	if err != nil {
		return fmt.Errorf("ping broker: %w", err)
	}
	return c.Flush()
}

// Pongs is how many PINGRESP came.
func (c *Conn) Pongs() uint32 { return c.wire.pongs.Load() }

// Done is closed when the connection is over and neither OnMessage nor OnAck will be called any more.
func (c *Conn) Done() <-chan struct{} { return c.paho.Done() }

// Err tells after Done why the connection ended.
func (c *Conn) Err() error {
	if err := c.session.why(); err != nil {
		return err
	}
	if err := c.wire.why(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil && !errors.Is(c.err, net.ErrClosed) {
		return c.err
	}
	return errors.New("connection closed, or the broker does not answer")
}

// Disconnected tells after Done with which reason code the broker said DISCONNECT; ok is false when it did not.
func (c *Conn) Disconnected() (reason byte, ok bool) { return c.session.disconnected() }

// note takes what paho has to say, possibly after Done.
func (c *Conn) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// fail ends the connection at once because of what the broker sent.
func (c *Conn) fail(err error) {
	c.wire.note(err)
	c.Abort()
}

// Abort ends the connection without DISCONNECT. Does not block.
func (c *Conn) Abort() {
	if err := c.wire.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.cfg.Log.Debug("close of the connection failed", "error", err)
	}
}

// Close says DISCONNECT, ends the connection and waits for it. The broker keeps the session. It may be called twice.
func (c *Conn) Close() {
	select {
	case <-c.Done():
		return
	default:
	}
	c.Hurry()
	if err := c.paho.Disconnect(&paho.Disconnect{ReasonCode: packets.DisconnectNormalDisconnection}); err != nil {
		c.cfg.Log.Debug("DISCONNECT not sent", "error", err)
	}
	<-c.Done()
}

// Hurry gives what is being written, and all that follows, a second to leave: for an end that may not wait for
// a broker that does not read. Does not block.
func (c *Conn) Hurry() {
	if err := c.wire.SetWriteDeadline(time.Now().Add(closeGrace)); err != nil {
		c.Abort() // it is closed, or knows no deadlines
	}
}
