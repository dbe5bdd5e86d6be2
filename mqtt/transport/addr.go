package transport

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// The schemes of addresses, in their one spelling.
const (
	TCP  = "tcp"
	TLS  = "tls"
	WS   = "ws"
	WSS  = "wss"
	Unix = "unix"
)

// scheme is a row of the table of schemes.
type scheme struct {
	name  string
	words []string // other words for it
	form  string   // of an address, for people
	port  string   // where none is said; "" = it has none
	tls   bool     // a connection begins with a TLS handshake,
	ws    bool     // and after it with a WebSocket one
}

// schemes is the one list of them: parsing, handshakes on both sides, help and error texts go by it.
var schemes = []scheme{
	{name: TCP, words: []string{"mqtt"}, form: "tcp://host:port", port: "1883"},
	{name: TLS, words: []string{"mqtts", "ssl"}, form: "tls://host:port", port: "8883", tls: true},
	{name: WS, form: "ws://host:port/path", port: "80", ws: true},
	{name: WSS, form: "wss://host:port/path", port: "443", tls: true, ws: true},
	{name: Unix, form: "unix:///path"},
}

// findScheme returns the row of a scheme or of another word for it; nil = there is none.
func findScheme(word string) *scheme {
	for i := range schemes {
		if s := &schemes[i]; s.name == word || slices.Contains(s.words, word) {
			return s
		}
	}
	return nil
}

// Forms says in words how addresses are written, for messages and help texts.
func Forms() string {
	forms := []string{"host:port"}
	for _, s := range schemes {
		forms = append(forms, s.form)
	}
	last := len(forms) - 1
	return strings.Join(forms[:last], ", ") + " and " + forms[last]
}

// DefaultPort is the port of a scheme, in any of its words; "" when there is no such scheme, or it has no ports.
func DefaultPort(word string) string {
	if s := findScheme(word); s != nil {
		return s.port
	}
	return ""
}

// maxUnixPath is the longest path a unix socket can have on Linux.
const maxUnixPath = 107

// Addr is a parsed address.
type Addr struct {
	Scheme string // TCP, TLS, WS, WSS or Unix
	Host   string // host:port; "" for Unix
	Path   string // of the socket for Unix; of the URL for WS and WSS, "" = any when listening and "/" when dialling
}

// ParseAddr reads an address: "host:port" is TCP, else the scheme says. mqtt:// is another word
// for tcp://, mqtts:// and ssl:// for tls://. Port 0 lets the system choose one when listening.
func ParseAddr(s string) (Addr, error) {
	word, rest, found := strings.Cut(s, "://")
	if !found {
		word, rest = TCP, s
	}
	kind := findScheme(strings.ToLower(word))
	if kind == nil {
		return Addr{}, fmt.Errorf("address %q: unknown scheme %q: allowed are %s", s, word, Forms())
	}
	a := Addr{Scheme: kind.name}
	switch i := strings.IndexByte(rest, '/'); {
	case a.Scheme == Unix:
		a.Path = rest
		return a, checkUnixPath(s, rest)
	case kind.ws && i >= 0:
		rest, a.Path = rest[:i], rest[i:]
	case !kind.ws:
		rest = strings.TrimSuffix(rest, "/")
	}
	a.Host = rest
	if err := checkHost(rest); err != nil {
		return Addr{}, fmt.Errorf("address %q: %w: allowed are %s", s, err, Forms())
	}
	if strings.ContainsAny(a.Path, "?# ") {
		return Addr{}, fmt.Errorf("address %q: the path may not have a query, a fragment or spaces", s)
	}
	return a, nil
}

func checkUnixPath(s, path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("address %q: the path of a unix socket must be absolute, as unix:///run/mangrove.sock", s)
	}
	if len(path) > maxUnixPath {
		return fmt.Errorf("address %q: the path has %d bytes, a unix socket allows %d", s, len(path), maxUnixPath)
	}
	return nil
}

func checkHost(hostport string) error {
	if strings.ContainsRune(hostport, '@') {
		return fmt.Errorf("user name and password do not belong in an address")
	}
	_, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return fmt.Errorf("%q is not host:port", hostport)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("port %q is not a number from 0 to 65535", port)
	}
	return nil
}

// String is the address in full, scheme included; ParseAddr reads it back.
func (a Addr) String() string { return a.Scheme + "://" + a.Host + a.Path }

// Secure reports whether a connection begins with a TLS handshake.
func (a Addr) Secure() bool { s := findScheme(a.Scheme); return s != nil && s.tls }

// web reports whether a connection carries MQTT in WebSocket frames.
func (a Addr) web() bool { s := findScheme(a.Scheme); return s != nil && s.ws }

// Loopback reports whether only this machine can reach the address: unix sockets, "localhost" and
// the IP addresses of the loopback. Other names are not looked up and count as reachable from elsewhere.
func (a Addr) Loopback() bool {
	if a.Scheme == Unix {
		return true
	}
	host, _, err := net.SplitHostPort(a.Host)
	if err != nil {
		return false
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// IsLoopback is Loopback for an address in text; false when it cannot be read.
func IsLoopback(addr string) bool {
	a, err := ParseAddr(addr)
	return err == nil && a.Loopback()
}
