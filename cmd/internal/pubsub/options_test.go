package pubsub

import (
	"testing"
	"time"

	"github.com/spf13/pflag"

	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// resolved is what flags amount to.
func resolved(t *testing.T, args ...string) (*options, client.Config) {
	t.Helper()
	var o options
	fs := pflag.NewFlagSet("test", pflag.ContinueOnError)
	o.bind(fs)
	if err := fs.Parse(JoinProperties(args)); err != nil {
		t.Fatalf("parse %q: %v", args, err)
	}
	c, _, err := o.resolve("sub")
	if err != nil {
		t.Fatalf("resolve %q: %v", args, err)
	}
	return &o, c
}

func TestAddresses(t *testing.T) {
	for _, c := range []struct {
		args []string
		addr string
	}{
		{nil, "tcp://localhost:1883"},
		{[]string{"-h", "::1", "-p", "1884"}, "tcp://[::1]:1884"},
		{[]string{"-h", "b", "--insecure"}, "tls://b:8883"},
		{[]string{"-h", "b", "--insecure", "-p", "1"}, "tls://b:1"},
		{[]string{"--unix", "/run/m.sock"}, "unix:///run/m.sock"},
		{[]string{"-L", "mqtt://b"}, "mqtt://b:1883"},
		{[]string{"-L", "mqtts://b/t"}, "mqtts://b:8883"},
		{[]string{"-L", "wss://b:9/mqtt"}, "wss://b:9/mqtt"},
	} {
		if _, got := resolved(t, c.args...); got.Addr != c.addr {
			t.Errorf("%q: got %q, want %q", c.args, got.Addr, c.addr)
		}
	}
}

func TestURLHoldsUserAndTopic(t *testing.T) {
	o, c := resolved(t, "-L", "mqtt://me:p%40ss@b:1/site/+/a?b/#")
	if o.urlTopic != "site/+/a?b/#" || c.Username != "me" || string(c.Password) != "p@ss" || c.Addr != "mqtt://b:1" {
		t.Errorf("got topic %q, user %q, password %q, address %q", o.urlTopic, c.Username, c.Password, c.Addr)
	}
}

func TestSCRAMSendsNoPassword(t *testing.T) {
	_, c := resolved(t, "--scram", "-u", "me", "-P", "secret")
	if c.Auth == nil || c.Auth.Method() != "SCRAM-SHA-256" || c.Username != "" || c.Password != nil {
		t.Errorf("got method %v, user %q, password %q; want SCRAM-SHA-256 alone", c.Auth, c.Username, c.Password)
	}
}

func TestSessionFlags(t *testing.T) {
	for _, c := range []struct {
		args   []string
		clean  bool
		expiry time.Duration
	}{
		{nil, true, 0},
		{[]string{"-c", "-i", "me"}, false, -1},
		{[]string{"-c", "-i", "me", "-x", "60"}, false, time.Minute},
		{[]string{"-x", "-1"}, true, -1},
		{[]string{"-D", "connect", "session-expiry-interval", "5"}, true, 5 * time.Second},
	} {
		if _, got := resolved(t, c.args...); got.Clean != c.clean || got.SessionExpiry != c.expiry {
			t.Errorf("%q: got clean %v, expiry %v; want %v, %v", c.args, got.Clean, got.SessionExpiry, c.clean, c.expiry)
		}
	}
}

func TestWillAndConnectProperties(t *testing.T) {
	_, c := resolved(t, "--will-topic", "w", "--will-payload", "gone", "--will-qos", "2", "--will-retain", "-k", "0",
		"-D", "will", "will-delay-interval", "7", "-D", "connect", "receive-maximum", "9", "-D", "connect", "user-property", "k", "v")
	if w := c.Will; w == nil || w.Topic != "w" || string(w.Payload) != "gone" || w.QoS != 2 || !w.Retain || w.Props.WillDelay != 7 {
		t.Errorf("got will %+v", c.Will)
	}
	if c.ReceiveMaximum != 9 || len(c.UserProps) != 1 || c.UserProps[0] != (packet.UserProperty{Name: "k", Value: "v"}) || c.KeepAlive >= 0 {
		t.Errorf("got receive maximum %d, user properties %v, keep-alive %v", c.ReceiveMaximum, c.UserProps, c.KeepAlive)
	}
}
