package paho

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/eclipse/paho.golang/paho"

	"mangrove/internal/auth"
	"mangrove/mqtt/broker"
	mqttclient "mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// prover is paho's AuthHandler for SCRAM-SHA-256.
type prover struct {
	*mqttclient.Scram // of the running exchange
	t                 *testing.T
	proved            chan struct{} // one for each success
}

var _ paho.Auther = (*prover)(nil)

// Authenticate implements paho.Auther.
func (p *prover) Authenticate(a *paho.Auth) *paho.Auth {
	if a.ReasonCode != byte(packet.ContinueAuthentication) || a.Properties.AuthMethod != auth.ScramMethod {
		p.t.Errorf("got AUTH %v by %q, want to continue by %s", packet.ReasonCode(a.ReasonCode), a.Properties.AuthMethod, auth.ScramMethod)
	}
	data, err := p.Next(a.Properties.AuthData, false)
	if err != nil {
		p.t.Errorf("answer %q: %v", a.Properties.AuthData, err)
	}
	return authPacket(packet.ContinueAuthentication, auth.ScramMethod, data)
}

// Authenticated implements paho.Auther.
func (p *prover) Authenticated() { p.proved <- struct{}{} }

func authPacket(reason packet.ReasonCode, method string, data []byte) *paho.Auth {
	return &paho.Auth{ReasonCode: byte(reason), Properties: &paho.AuthProperties{AuthMethod: method, AuthData: data}}
}

// use begins an exchange as user with password, and returns its first words.
func (p *prover) use(user, password string) []byte {
	p.t.Helper()
	p.Scram = mqttclient.NewScram(user, password)
	data, err := p.Begin()
	if err != nil {
		p.t.Fatal(err)
	}
	return data
}

// by makes CONNECT name a method and say its first words.
func (p *prover) by(method, user, password string) how {
	p.t.Helper()
	data := p.use(user, password)
	return func(a *ask) {
		a.Properties.AuthMethod, a.Properties.AuthData = method, data
		a.config.AuthHandler = p
	}
}

// again authenticates on the live connection, and returns how that ends.
func (p *prover) again(c *client, method, user, password string) packet.ReasonCode {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	got, err := c.Authenticate(ctx, authPacket(packet.ReAuthenticate, method, p.use(user, password)))
	if err != nil {
		p.t.Fatalf("authenticate again: %v", err)
	}
	return packet.ReasonCode(got.ReasonCode)
}

// guarded is script for a server that knows alice and bob.
func guarded(t *testing.T, fn func(s *server, p *prover)) {
	t.Helper()
	users := filepath.Join(t.TempDir(), "users")
	lines := "alice:" + auth.ScramHash("wonder") + "\nbob:" + auth.ScramHash("builder") + "\n"
	if err := os.WriteFile(users, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	scriptWith(t, func(c *broker.Config) {
		var err error
		if c.Authority, err = auth.New(auth.Config{PasswordFile: users, AllowAnonymous: true}); err != nil {
			t.Fatal(err)
		}
	}, func(s *server) { fn(s, &prover{t: s.t, proved: make(chan struct{}, 10)}) })
}

// Both sides prove that they know the password; CONNACK names the method. It can be done again at any time, by the same
// method, and all goes on. [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-4.12.1-1]
func TestScram(t *testing.T) {
	guarded(t, func(s *server, p *prover) {
		c := s.newClient("c")
		got := c.connect(fresh, p.by(auth.ScramMethod, "alice", "wonder")).Properties
		if got.AuthMethod != auth.ScramMethod {
			t.Errorf("got method %q in CONNACK, want %s", got.AuthMethod, auth.ScramMethod)
		}
		if _, err := p.Next(got.AuthData, true); err != nil {
			t.Errorf("the server's proof %q: %v", got.AuthData, err)
		}
		<-p.proved
		c.subscribe("t", 1)
		for range 2 {
			if got := p.again(c, auth.ScramMethod, "alice", "wonder"); got != packet.Success {
				t.Errorf("again: got %v, want success", got)
			}
			<-p.proved
			c.publish(pub(1, "t", "x"))
			c.want("all goes on", pub(1, "t", "x"))
		}
	})
}

// Who does not prove it is refused, by whatever method. [MQTT-4.12.0-1] [MQTT-4.12.0-4]
func TestScramRefused(t *testing.T) {
	guarded(t, func(s *server, p *prover) {
		for why, test := range map[string]struct {
			method, user, password string
			want                   packet.ReasonCode
		}{
			"wrong password": {auth.ScramMethod, "alice", "builder", packet.BadUserNameOrPassword},
			"nobody":         {auth.ScramMethod, "carol", "wonder", packet.BadUserNameOrPassword},
			"unknown method": {"SCRAM-SHA-1", "alice", "wonder", packet.BadAuthenticationMethod},
		} {
			got, err := s.newClient("c").tryConnect(p.by(test.method, test.user, test.password))
			if err == nil || got == nil || got.ReasonCode != byte(test.want) {
				t.Errorf("%s: got %v, %v; want %v", why, got, err, test.want)
			}
		}
		if len(p.proved) != 0 {
			t.Error("got a success, want none")
		}
	})
}

// Who cannot do it again, or turns out to be somebody else, or changes the method, is disconnected. [MQTT-4.12.1-1]
// [MQTT-4.12.1-2]
func TestScramAgainRefused(t *testing.T) {
	guarded(t, func(s *server, p *prover) {
		for why, test := range map[string]struct {
			method, user, password string
			want                   packet.ReasonCode
		}{
			"wrong password": {auth.ScramMethod, "alice", "builder", packet.NotAuthorized},
			"somebody else":  {auth.ScramMethod, "bob", "builder", packet.NotAuthorized},
			"another method": {"SCRAM-SHA-1", "alice", "wonder", packet.ProtocolError},
		} {
			c := s.client("c", p.by(auth.ScramMethod, "alice", "wonder"))
			<-p.proved
			if got := p.again(c, test.method, test.user, test.password); got != test.want {
				t.Errorf("%s: got %v, want %v", why, got, test.want)
			}
			c.wantGone(why, test.want)
		}
	})
}

// Without a method in CONNECT there is none in CONNACK, and AUTH is an error. [MQTT-4.12.0-6] [MQTT-4.12.0-7]
func TestNoMethod(t *testing.T) {
	guarded(t, func(s *server, p *prover) {
		c := s.newClient("c")
		if got := c.connect().Properties; got.AuthMethod != "" || got.AuthData != nil {
			t.Errorf("got method %q and data %q, want neither", got.AuthMethod, got.AuthData)
		}
		if got := p.again(c, auth.ScramMethod, "alice", "wonder"); got != packet.ProtocolError {
			t.Errorf("got %v, want %v", got, packet.ProtocolError)
		}
		c.wantGone("AUTH", packet.ProtocolError)
	})
}
