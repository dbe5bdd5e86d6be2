package transport

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// proxy2 makes a header of version 2.
func proxy2(command, family byte, rest ...byte) string {
	b := append([]byte{}, proxySignature...)
	b = append(b, proxyVersion2|command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(rest)))
	return string(append(b, rest...))
}

func tlv(kind byte, value ...byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

// summed fills in the checksum in the last four bytes of a header.
func summed(header string) string {
	b := []byte(header)
	binary.BigEndian.PutUint32(b[len(b)-4:], 0)
	binary.BigEndian.PutUint32(b[len(b)-4:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

var (
	from4 = []byte{192, 0, 2, 1, 198, 51, 100, 1, 0xDC, 0x04, 0x07, 0x5B}
	from6 = append(append(append(net.ParseIP("2001:db8::1"), net.ParseIP("2001:db8::2")...), 0xDC, 0x04), 0x07, 0x5B)
	path  = append([]byte("/run/a.sock"), make([]byte, 216-len("/run/a.sock"))...)
	crc   = tlv(proxyTypeCRC, 0, 0, 0, 0)
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

var proxyHeaders = []struct{ name, header, want string }{ // want "" = the peer's own address
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\r\n", "192.0.2.1:56324"},
	{"v1 TCP6", "PROXY TCP6 2001:db8::1 2001:db8::2 56324 1883\r\n", "[2001:db8::1]:56324"},
	{"v1 unknown", "PROXY UNKNOWN\r\n", ""},
	{"v1 unknown with more", "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", ""},
	{"v1 longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
	{"v2 TCP4", proxy2(1, proxyTCP4, from4...), "192.0.2.1:56324"},
	{"v2 TCP6", proxy2(1, proxyTCP6, from6...), "[2001:db8::1]:56324"},
	{"v2 unix", proxy2(1, proxyUnix, path...), "/run/a.sock"},
	{"v2 local", proxy2(0, proxyUnspec), ""},
	{"v2 local with addresses", proxy2(0, proxyTCP4, from4...), ""},
	{"v2 unspecified", proxy2(1, proxyUnspec, 1, 2, 3), ""},
	{"v2 with TLVs", proxy2(1, proxyTCP4, join(from4, tlv(1, 'm', 'q'), tlv(4))...), "192.0.2.1:56324"},
	{"v2 with checksum", summed(proxy2(1, proxyTCP4, join(from4, crc)...)), "192.0.2.1:56324"},
	{"v2 largest", proxy2(1, proxyTCP4, join(from4, tlv(4, make([]byte, maxProxyRest-len(from4)-3)...))...), "192.0.2.1:56324"},
}

func TestProxyHeaders(t *testing.T) {
	for _, test := range proxyHeaders {
		r := strings.NewReader(test.header + "what follows")
		got, err := readProxy(r)
		if err != nil || got == nil && test.want != "" || got != nil && got.String() != test.want {
			t.Errorf("%s: got %v, %v, want %q", test.name, got, err, test.want)
		}
		if rest, err := io.ReadAll(r); err != nil || string(rest) != "what follows" {
			t.Errorf("%s: got %q left, want what follows the header", test.name, rest)
		}
		for n := range len(test.header) { // cut at every byte
			if got, err := readProxy(strings.NewReader(test.header[:n])); err == nil {
				t.Errorf("%s: got %v for the first %d bytes, want an error", test.name, got, n)
			}
		}
	}
}

func TestProxyHeadersThatAreNone(t *testing.T) {
	bad := summed(proxy2(1, proxyTCP4, join(from4, crc)...))
	for name, header := range map[string]string{
		"MQTT":                   "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
		"HTTP":                   "GET / HTTP/1.1\r\n\r\n",
		"v1 too long":            "PROXY TCP4 " + strings.Repeat("1", 107) + "\r\n",
		"v1 UNKNOWN too long":    "PROXY UNKNOWN " + strings.Repeat("1", 107) + "\r\n",
		"v1 only LF":             "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883\n",
		"v1 no addresses":        "PROXY TCP4 \r\n",
		"v1 UDP":                 "PROXY UDP4 192.0.2.1 198.51.100.1 56324 1883\r\n",
		"v1 other family":        "PROXY TCP6 192.0.2.1 198.51.100.1 56324 1883\r\n",
		"v1 two families":        "PROXY TCP4 192.0.2.1 2001:db8::2 56324 1883\r\n",
		"v1 zone":                "PROXY TCP6 fe80::1%eth0 fe80::2 56324 1883\r\n",
		"v1 port":                "PROXY TCP4 192.0.2.1 198.51.100.1 65536 1883\r\n",
		"v1 port with zero":      "PROXY TCP4 192.0.2.1 198.51.100.1 01 1883\r\n",
		"v1 two spaces":          "PROXY TCP4  192.0.2.1 198.51.100.1 56324 1883\r\n",
		"v1 more":                "PROXY TCP4 192.0.2.1 198.51.100.1 56324 1883 x\r\n",
		"v1 small letters":       "proxy tcp4 192.0.2.1 198.51.100.1 56324 1883\r\n",
		"v2 version 1":           string(proxySignature) + "\x11\x11\x00\x0c" + string(from4),
		"v2 version 3":           string(proxySignature) + "\x31\x11\x00\x0c" + string(from4),
		"v2 command":             proxy2(2, proxyTCP4, from4...),
		"v2 UDP":                 proxy2(1, 0x12, from4...),
		"v2 family":              proxy2(1, 0x41, from4...),
		"v2 short addresses":     proxy2(1, proxyTCP4, from4[:11]...),
		"v2 short TCP6":          proxy2(1, proxyTCP6, from4...),
		"v2 short unix":          proxy2(1, proxyUnix, path[:215]...),
		"v2 too long":            proxy2(1, proxyTCP4, make([]byte, maxProxyRest+1)...),
		"v2 TLV cut off":         proxy2(1, proxyTCP4, join(from4, []byte{1, 0})...),
		"v2 TLV too long":        proxy2(1, proxyTCP4, join(from4, []byte{1, 0, 2, 'x'})...),
		"v2 checksum":            bad[:len(bad)-1] + string(bad[len(bad)-1]^1),
		"v2 checksum of 3":       proxy2(1, proxyTCP4, join(from4, tlv(proxyTypeCRC, 1, 2, 3))...),
		"v2 signature with typo": strings.Replace(proxy2(1, proxyTCP4, from4...), "QUIT", "QUID", 1),
	} {
		if got, err := readProxy(strings.NewReader(header)); err == nil {
			t.Errorf("%s: got %v, want an error", name, got)
		}
	}
}

// Over every scheme the address is the header's, and what follows the header comes through.
func TestProxyListener(t *testing.T) {
	serverTLS, clientTLS := certificate(t)
	for _, addr := range []string{"127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0", "wss://127.0.0.1:0", "unix://" + filepath.Join(t.TempDir(), "m.sock")} {
		for _, header := range []int{0, 5, 8} { // v1, v2, v2 local
			test := proxyHeaders[header]
			l := listen(t, addr, Config{TLS: serverTLS, Proxy: true})
			accepted := make(chan net.Conn, 1)
			go func() { // ends with Accept, which the listener's Close ends
				if c, err := l.Accept(); err == nil {
					accepted <- c
				}
			}()
			client := dialProxied(t, l.Addr(), clientTLS, test.header)
			var server net.Conn
			select {
			case server = <-accepted:
			case <-time.After(patience):
				t.Fatalf("%s, %s: nothing was accepted", addr, test.name)
			}
			defer closeOf(t, server)
			got := server.RemoteAddr().String()
			if test.want != "" && got != test.want || test.want == "" && got != client.LocalAddr().String() && l.Scheme() != Unix {
				t.Errorf("%s, %s: got remote address %s, want %q", addr, test.name, got, test.want)
			}
			wantCarried(t, client, server)
			wantCarried(t, server, client)
			closeOf(t, l)
		}
	}
}

// dialProxied connects as a proxy does: header first.
func dialProxied(t *testing.T, addr string, secure *tls.Config, header string) net.Conn {
	t.Helper()
	a, err := ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	network, host := "tcp", a.Host
	if a.Scheme == Unix {
		network, host = "unix", a.Path
	}
	c, err := net.Dial(network, host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOf(t, c) })
	if _, err := io.WriteString(c, header); err != nil {
		t.Fatal(err)
	}
	ready, err := shakeAsClient(context.Background(), c, a, DialConfig{TLS: secure})
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

func TestProxyHeaderMissing(t *testing.T) {
	rejected := make(chan error, 10)
	l := listen(t, "127.0.0.1:0", Config{Proxy: true, HandshakeTimeout: 50 * time.Millisecond,
		Rejected: func(_ net.Addr, err error) { rejected <- err }})
	dialProxied(t, l.Addr(), nil, "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")
	wantRejected(t, rejected, errProxy)
	dialProxied(t, l.Addr(), nil, "PROXY TCP4 192.0.2.1")
	wantRejected(t, rejected, os.ErrDeadlineExceeded)
	dialProxied(t, l.Addr(), nil, "")
	wantRejected(t, rejected, ErrHandshake)
}

// FuzzProxy gives arbitrary bytes to the reader: it may refuse them, but not panic, hold much, or read too far.
func FuzzProxy(f *testing.F) {
	for _, test := range proxyHeaders {
		f.Add([]byte(test.header + "rest"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		_, err := readProxy(r)
		read := len(data) - r.Len()
		if read > proxyStart+proxyHeadBytes+maxProxyRest {
			t.Fatalf("got %d bytes read, want at most %d", read, proxyStart+proxyHeadBytes+maxProxyRest)
		}
		if err != nil {
			return
		}
		// The header alone means the same.
		if _, err := readProxy(bytes.NewReader(data[:read])); err != nil {
			t.Fatalf("got %v for the header without what follows", err)
		}
	})
}
