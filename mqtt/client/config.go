package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"mangrove/internal/setting"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/transport"
)

// Defaults of Config.
const (
	DefaultKeepAlive      = time.Minute
	DefaultReceiveMaximum = 1024
	DefaultMaxPacket      = 16 << 20
	DefaultMaxInflight    = 128
	DefaultMaxInflight3   = 20 // before 5.0 a server cannot say how many it takes; Mosquitto hangs up above 20
	DefaultConnectTimeout = 15 * time.Second
)

// Config is how to connect. Only Addr is needed. Zero and negative numbers mean what package setting says.
type Config struct {
	Addr string      // as transport.ParseAddr reads it
	TLS  *tls.Config // for tls and wss; nil = the system's roots

	Version     packet.Version // 0 = 5.0
	ClientID    string         // "" = the server chooses; before 5.0 that needs Clean
	Username    string         // "" = none, unless there is a Password
	Password    []byte         // nil = none
	Auth        Authenticator  // 5.0: how to prove who it is beyond user name and password; nil = not at all
	KeepAlive   time.Duration  // zero = DefaultKeepAlive, negative = off; a server of 5.0 may change it
	PingTimeout time.Duration  // how long PINGRESP may take; zero = two thirds of the keep-alive, but at least 2 s
	// ConnectTimeout is how long the answer to CONNECT may take while hardly a byte moves, and a quarter of what Dial may take
	// in all; zero = DefaultConnectTimeout.
	ConnectTimeout time.Duration
	Clean          bool          // discard the session there was
	SessionExpiry  time.Duration // 5.0: how long the session outlives the connection; zero = not at all, negative = for ever
	Will           *packet.Will  // nil = none
	UserProps      []packet.UserProperty

	ReceiveMaximum uint16 // 5.0: QoS 1 and 2 messages the server may have unacknowledged; zero = DefaultReceiveMaximum
	// MaxPacket is the bytes of the largest packet taken, told to a server of 5.0; a larger one ends the connection.
	// Zero = DefaultMaxPacket.
	MaxPacket uint32
	// MaxInflight bounds the QoS 1 and 2 messages of ours under way at once, less if the server says so; above,
	// publishing waits. Zero = DefaultMaxInflight, before 5.0 DefaultMaxInflight3.
	MaxInflight int

	// State is the session on this side, for clients that reconnect; at most one Client at a time
	// may have it: Dial waits for one whose connection is over until it is Done, and fails with
	// ErrStateInUse on one that lives. nil = one of its own, that ends with the connection. A new State
	// takes up a session that the server has from before, as a process that starts again must; QoS 2
	// messages that were half received then may come a second time. (Strictly a client without state
	// has to hang up [MQTT-3.2.2-4]; then what waits for it could never be fetched.)
	State *State

	// OnMessage gets each message that came in, in order, on the reading goroutine; possibly before Dial
	// has returned. The acknowledgement leaves when it returns. It must not wait for this Client (as
	// Publish at QoS 1 does): use PublishAsync or TryPublish there. nil = acknowledge and discard.
	OnMessage func(*Message)
	// OnFrame gets PUBLISH packets on "$link/kind" instead of OnMessage. body is valid during the call.
	// An error ends the connection. nil = they are messages like others.
	OnFrame func(kind string, body []byte) error
	// OnClose is called once, after the last OnMessage and OnFrame, before Done is closed. err is as of Err.
	OnClose func(err error)

	// Dial connects instead of transport.Dial. nil = transport.Dial.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	Log  *slog.Logger // nil = discard
}

// check fills in the defaults.
func (c *Config) check() error {
	if c.Version == 0 {
		c.Version = packet.V5
	}
	switch {
	case c.Version < packet.V31 || c.Version > packet.V5:
		return fmt.Errorf("protocol version %d: allowed are 3, 4 and 5", c.Version)
	case c.Version != packet.V5 && c.ClientID == "" && !c.Clean:
		return errors.New("a client id is needed before MQTT 5.0 unless the session is clean [MQTT311-3.1.3-7]")
	case c.KeepAlive > math.MaxUint16*time.Second:
		return fmt.Errorf("keep-alive %v: at most 65535 s are allowed", c.KeepAlive)
	case c.MaxInflight > maxFlights:
		return fmt.Errorf("MaxInflight %d: allowed are 0 to %d", c.MaxInflight, maxFlights)
	case c.Auth != nil && c.Version != packet.V5:
		return errors.New("authentication by exchange needs MQTT 5.0")
	}
	return c.fill()
}

func (c *Config) fill() error {
	c.KeepAlive = cmp.Or(c.KeepAlive, DefaultKeepAlive)
	c.ReceiveMaximum = cmp.Or(c.ReceiveMaximum, DefaultReceiveMaximum)
	c.MaxPacket = cmp.Or(c.MaxPacket, DefaultMaxPacket)
	inflight := DefaultMaxInflight
	if c.Version != packet.V5 {
		inflight = DefaultMaxInflight3
	}
	if err := setting.Default("ConnectTimeout", &c.ConnectTimeout, DefaultConnectTimeout); err != nil {
		return err
	}
	if c.Dial == nil {
		secure := c.TLS
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return transport.Dial(ctx, addr, transport.DialConfig{TLS: secure, Timeout: c.ConnectTimeout})
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return errors.Join(
		setting.Default("MaxInflight", &c.MaxInflight, inflight),
		setting.Default("PingTimeout", &c.PingTimeout, 0), // until the keep-alive is known
	)
}

// connect is the CONNECT packet of c.
func (c *Config) connect() *packet.Connect {
	p := &packet.Connect{Version: c.Version, CleanStart: c.Clean, KeepAlive: seconds16(c.KeepAlive), ClientID: c.ClientID,
		Username: c.Username, Password: c.Password, HasUser: c.Username != "", HasPass: c.Password != nil, Will: c.Will}
	if c.Version != packet.V5 {
		p.HasUser = p.HasUser || p.HasPass // [MQTT311-3.1.2-22]
		return p
	}
	p.Props = &packet.Properties{ReceiveMaximum: c.ReceiveMaximum, MaximumPacketSize: c.MaxPacket, User: c.UserProps,
		SessionExpiry: seconds32(c.SessionExpiry)}
	p.Props.Mark(packet.PropReceiveMaximum).Mark(packet.PropMaximumPacketSize)
	if c.SessionExpiry != 0 {
		p.Props.Mark(packet.PropSessionExpiry)
	}
	if len(c.UserProps) > 0 {
		p.Props.Mark(packet.PropUser)
	}
	return p
}

// seconds16 rounds up; off is 0.
func seconds16(d time.Duration) uint16 {
	if d <= 0 {
		return 0
	}
	return uint16((d + time.Second - 1) / time.Second)
}

// seconds32 rounds up; below 0 and beyond all bounds is for ever.
func seconds32(d time.Duration) uint32 {
	s := (int64(d) + int64(time.Second) - 1) / int64(time.Second)
	if d < 0 || s > math.MaxUint32 {
		return math.MaxUint32
	}
	return uint32(s)
}
