package transport

import (
	"fmt"
	"net"
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

// Allowed says in words which addresses there are, for error messages and help texts.
const Allowed = "allowed are host:port, tcp://host:port, tls://host:port, ws://host:port/path, wss://host:port/path and unix:///path"

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
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = TCP, s
	}
	a := Addr{Scheme: canonical(strings.ToLower(scheme))}
	switch a.Scheme {
	case Unix:
		a.Path = rest
		return a, checkUnixPath(s, rest)
	case WS, WSS:
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			rest, a.Path = rest[:i], rest[i:]
		}
	case TCP, TLS:
		rest = strings.TrimSuffix(rest, "/")
	default:
		return Addr{}, fmt.Errorf("address %q: unknown scheme %q: %s", s, scheme, Allowed)
	}
	a.Host = rest
	if err := checkHost(rest); err != nil {
		return Addr{}, fmt.Errorf("address %q: %w: %s", s, err, Allowed)
	}
	if strings.ContainsAny(a.Path, "?# ") {
		return Addr{}, fmt.Errorf("address %q: the path may not have a query, a fragment or spaces", s)
	}
	return a, nil
}

func canonical(scheme string) string {
	switch scheme {
	case "mqtt":
		return TCP
	case "mqtts", "ssl":
		return TLS
	}
	return scheme
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
