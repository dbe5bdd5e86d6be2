package remote

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"mangrove/internal/setting"
	"mangrove/mqtt"
	"mangrove/mqtt/transport"
)

// Config is how to connect. Addr, ClientID, OnMessage and OnAck are required. Zero and negative numbers mean what package
// setting says.
type Config struct {
	Addr     string // as transport.ParseAddr reads it
	ClientID string
	Username string // "" = none, unless there is a Password
	Password []byte // nil = none

	KeepAlive     time.Duration // 0 = 1 min; a dead line is noticed within 1.5 times that
	SessionExpiry time.Duration // how long the broker keeps our session while we are away; 0 = not at all
	Timeout       time.Duration // how long the answer to SUBSCRIBE, UNSUBSCRIBE and CONNECT may take while hardly a byte moves; 0 = 10 s
	Window        int           // QoS 1 messages under way in each direction, less if the broker says so; 0 = 1,024
	MaxPacket     int           // bytes of the largest packet taken; a larger one ends the connection; 0 = 4 MiB

	// OnMessage gets each message that came in, in order, on one goroutine, possibly before Dial has returned.
	// id is 0 for QoS 0; any other is to be given to Ack, in the same order. From, Publisher and ID are not set;
	// Origin is, when the message says where it began. sub is the identifier of the one subscription that it came for, 0 = none,
	// or several.
	OnMessage func(m *mqtt.Message, id uint16, sub uint32)
	// OnAck gets the token of each QoS 1 message that the broker has answered. A reason of 0x80 and above
	// is a refusal. One goroutine; it must not wait for this Conn.
	OnAck func(token uint64, reason byte)

	Dial func(ctx context.Context, addr string) (net.Conn, error) // nil = transport.Dial
	Now  func() time.Time                                         // nil = time.Now
	Log  *slog.Logger                                             // nil = discard
}

// maxWindow is what Receive Maximum can say.
const maxWindow = 65535

func (c *Config) check() error {
	if c.ClientID == "" || c.OnMessage == nil || c.OnAck == nil {
		return errors.New("Config.ClientID, OnMessage and OnAck are required")
	}
	err := errors.Join(
		setting.Default("Config.KeepAlive", &c.KeepAlive, time.Minute),
		setting.Default("Config.SessionExpiry", &c.SessionExpiry, 0),
		setting.Default("Config.Timeout", &c.Timeout, 10*time.Second),
		setting.Default("Config.Window", &c.Window, 1024),
		setting.Default("Config.MaxPacket", &c.MaxPacket, 4<<20),
	)
	c.Window = min(c.Window, maxWindow)
	if c.Dial == nil {
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return transport.Dial(ctx, addr, transport.DialConfig{})
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return err
}
