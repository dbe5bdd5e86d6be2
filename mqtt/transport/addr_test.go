package transport

import (
	"strings"
	"testing"
)

func TestParseAddr(t *testing.T) {
	for _, c := range []struct {
		in, out  string
		loopback bool
	}{
		{"127.0.0.1:1883", "tcp://127.0.0.1:1883", true},
		{"tcp://localhost:0", "tcp://localhost:0", true},
		{"mqtt://10.0.0.1:1883/", "tcp://10.0.0.1:1883", false},
		{":1883", "tcp://:1883", false},
		{"0.0.0.0:1883", "tcp://0.0.0.0:1883", false},
		{"[::1]:1883", "tcp://[::1]:1883", true},
		{"[::]:1883", "tcp://[::]:1883", false},
		{"TLS://example.com:8883", "tls://example.com:8883", false},
		{"mqtts://127.1.2.3:8883", "tls://127.1.2.3:8883", true},
		{"ssl://h:1", "tls://h:1", false},
		{"ws://127.0.0.1:80", "ws://127.0.0.1:80", true},
		{"ws://127.0.0.1:80/mqtt", "ws://127.0.0.1:80/mqtt", true},
		{"wss://h:443/a/b", "wss://h:443/a/b", false},
		{"unix:///run/m.sock", "unix:///run/m.sock", true},
	} {
		a, err := ParseAddr(c.in)
		if err != nil || a.String() != c.out || IsLoopback(c.in) != c.loopback {
			t.Errorf("%q: got %q, loopback %v, %v, want %q, %v", c.in, a, IsLoopback(c.in), err, c.out, c.loopback)
		}
		if again, err := ParseAddr(a.String()); err != nil || again != a {
			t.Errorf("%q: read back: got %v, %v", a, again, err)
		}
	}
}

func TestParseAddrRefuses(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "is not host:port: allowed are"},
		{"localhost", "is not host:port: allowed are host:port, tcp://"},
		{"http://h:80", `unknown scheme "http": allowed are`},
		{"h:mqtt", "not a number"},
		{"h:65536", "not a number"},
		{"::1:1883", "is not host:port"},
		{"tcp://h:1/path", "not a number"},
		{"tcp://u:p@h:1", "user name and password"},
		{"ws://h:1/a?b", "query"},
		{"unix://run/m.sock", "absolute"},
		{"unix:///" + strings.Repeat("a", 107), "107"},
	} {
		if _, err := ParseAddr(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want an error with %q", c.in, err, c.want)
		}
		if IsLoopback(c.in) {
			t.Errorf("%q: counts as loopback", c.in)
		}
	}
}

// A scheme is a row: what its addresses look like is what is parsed, in each of its words, and it has a port if it has hosts.
func TestSchemes(t *testing.T) {
	for _, s := range schemes {
		for _, word := range append(s.words, s.name) {
			addr := word + strings.NewReplacer("host:port", "127.0.0.1:1").Replace(strings.TrimPrefix(s.form, s.name))
			a, err := ParseAddr(addr)
			if err != nil || a.Scheme != s.name || a.Secure() != s.tls || a.web() != s.ws {
				t.Errorf("%s: got %+v, error %v, want what its row says: %+v", addr, a, err, s)
			}
			if got := DefaultPort(word); (got == "") != (a.Host == "") {
				t.Errorf("%s: got the port %q for the host %q", addr, got, a.Host)
			}
		}
		if !strings.Contains(Forms(), s.form) {
			t.Errorf("Forms() leaves out %s", s.form)
		}
	}
}
