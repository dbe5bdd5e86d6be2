package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gobwas/ws"
	"pgregory.net/rapid"
)

// rawPeer shakes hands as a client and returns the bare connection, to write frames by hand.
func rawPeer(t *testing.T, l Listener) (peer net.Conn, server net.Conn) {
	t.Helper()
	client, server := pair(t, l, DialConfig{})
	return client.(*wsConn).Conn, server
}

func write(t *testing.T, c net.Conn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func masked(f ws.Frame) []byte {
	b, err := ws.CompileFrame(ws.MaskFrame(f))
	if err != nil {
		panic(err)
	}
	return b
}

func wantFrame(t *testing.T, c net.Conn, op ws.OpCode, payload []byte) {
	t.Helper()
	h, err := ws.ReadHeader(c)
	if err != nil {
		t.Fatalf("got %v, want opcode %x %x", err, op, payload)
	}
	got := make([]byte, min(h.Length, 1<<20))
	_, err = io.ReadFull(c, got)
	if err != nil || h.OpCode != op || !bytes.Equal(got, payload) || h.Masked || !h.Fin {
		t.Errorf("got %+v %x, %v, want opcode %x %x", h, got, err, op, payload)
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestWebSocketFramesBecomeBytes(t *testing.T) {
	peer, server := rawPeer(t, listen(t, "ws://127.0.0.1:0", Config{}))
	// [MQTT-6.0.0-2] [MQTT311-6.0.0-2] borders of frames and of packets are not the same.
	write(t, peer, masked(ws.NewBinaryFrame([]byte("one"))))
	write(t, peer, masked(ws.NewBinaryFrame(nil)))
	write(t, peer, masked(ws.NewFrame(ws.OpBinary, false, []byte("tw"))))
	write(t, peer, masked(ws.NewPingFrame([]byte("hello")))) // between the fragments
	write(t, peer, masked(ws.NewPongFrame(nil)))
	write(t, peer, masked(ws.NewFrame(ws.OpContinuation, true, []byte("o"))))
	wantRead(t, server, "onetwo")
	wantFrame(t, peer, ws.OpPong, []byte("hello"))

	write(t, server, []byte("answer"))
	wantFrame(t, peer, ws.OpBinary, []byte("answer"))

	write(t, peer, masked(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye"))))
	for range 2 {
		if n, err := server.Read(make([]byte, 8)); n != 0 || err != io.EOF {
			t.Errorf("after close: got %d, %v, want EOF", n, err)
		}
	}
	wantFrame(t, peer, ws.OpClose, ws.NewCloseFrameBody(ws.StatusGoingAway, ""))
	if _, err := server.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after close: got %v, want net.ErrClosed", err)
	}
}

func TestWebSocketRefusesBadFrames(t *testing.T) {
	l := listen(t, "ws://127.0.0.1:0", Config{})
	unmasked, err := ws.CompileFrame(ws.NewBinaryFrame([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		bytes []byte
		code  ws.StatusCode
	}{
		{"text [MQTT-6.0.0-1] [MQTT311-6.0.0-1]", masked(ws.NewTextFrame([]byte("x"))), ws.StatusUnsupportedData},
		{"unmasked", unmasked, ws.StatusProtocolError},
		{"reserved bit", []byte{0xC2, 0x81, 0, 0, 0, 0, 'x'}, ws.StatusProtocolError},
		{"reserved opcode", []byte{0x83, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"fragmented ping", []byte{0x09, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"long ping", []byte{0x89, 0xFE, 0, 126, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"continuation first", []byte{0x80, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"binary in a fragment", []byte{0x02, 0x80, 0, 0, 0, 0, 0x82, 0x80, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"negative length", []byte{0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, ws.StatusProtocolError},
		{"close of one byte", masked(ws.NewCloseFrame([]byte{3})), ws.StatusProtocolError},
		{"close with a reserved code", masked(ws.NewCloseFrame([]byte{3, 237})), ws.StatusProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			peer, server := rawPeer(t, l)
			write(t, peer, append(masked(ws.NewBinaryFrame([]byte("ok"))), c.bytes...))
			wantRead(t, server, "ok")
			if n, err := server.Read(make([]byte, 8)); n != 0 || err == nil {
				t.Errorf("got %d, %v, want an error", n, err)
			}
			wantFrame(t, peer, ws.OpClose, ws.NewCloseFrameBody(c.code, ""))
		})
	}
}

// TestDeframerInAnyPieces cuts a stream of frames anywhere and wants the same payload.
func TestDeframerInAnyPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream, want []byte
		for range rapid.IntRange(1, 8).Draw(t, "messages") {
			parts := rapid.IntRange(1, 3).Draw(t, "parts")
			for i := range parts {
				p := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
				op := ws.OpBinary
				if i > 0 {
					op = ws.OpContinuation
				}
				want = append(want, p...)
				stream = append(stream, masked(ws.NewFrame(op, i == parts-1, bytes.Clone(p)))...)
				if rapid.Bool().Draw(t, "pong between") {
					stream = append(stream, masked(ws.NewPongFrame(bytes.Clone(p[:min(len(p), maxControl)])))...)
				}
			}
		}
		below := &piecewise{b: stream, size: rapid.IntRange(1, 700).Draw(t, "piece")}
		w := newWSConn(below, false, nil)
		if err := iotest.TestReader(io.MultiReader(w), want); err != nil {
			t.Fatal(err)
		}
	})
}

// piecewise is a connection that gives at most size bytes at once.
type piecewise struct {
	net.Conn
	b    []byte
	size int
}

func (p *piecewise) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func FuzzDeframer(f *testing.F) {
	f.Add(masked(ws.NewBinaryFrame([]byte("hello"))))
	f.Add(masked(ws.NewPingFrame([]byte("x"))))
	f.Add([]byte{0x82, 0xFE, 0xFF, 0xFF, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, b []byte) {
		d := deframer{masked: true}
		for rest := b; len(rest) > 0; {
			payload, _, control, left, err := d.next(rest)
			if err != nil {
				return
			}
			if payload == nil && !control && len(left) > 0 || len(payload) > len(b) || len(d.control) > maxControl {
				t.Fatalf("payload %d, control %d, left %d of %d", len(payload), len(d.control), len(left), len(b))
			}
			rest = left
		}
	})
}

const request = "GET %s HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// ask sends bytes to a ws listener and returns the status of the answer.
func ask(t *testing.T, l Listener, bytes string) (c net.Conn, status string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(l.Addr(), "/mqtt"), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeOf(t, c) })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	write(t, c, []byte(bytes))
	head := make([]byte, len("HTTP/1.1 101"))
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	return c, string(head[len("HTTP/1.1 "):])
}

func TestWebSocketRequest(t *testing.T) {
	l := listen(t, "ws://127.0.0.1:0/mqtt", Config{})
	const protocol = "Sec-WebSocket-Protocol: "
	for _, c := range []struct{ path, headers, want string }{
		{"/mqtt", protocol + "mqtt\r\n", "101"},
		{"/mqtt?x=1", protocol + "foo, mqtt\r\n", "101"},
		{"/mqtt", protocol + "foo\r\n", "400"}, // [MQTT-6.0.0-4] [MQTT311-6.0.0-4]
		{"/mqtt", "", "400"},                   // [MQTT-6.0.0-3] [MQTT311-6.0.0-3]
		{"/other", protocol + "mqtt\r\n", "404"},
	} {
		accepted := acceptOne(l)
		if _, got := ask(t, l, fmt.Sprintf(request, c.path, c.headers)); got != c.want {
			t.Errorf("%s %q: got %s, want %s", c.path, c.headers, got, c.want)
		}
		if c.want == "101" {
			closeOf(t, <-accepted)
		}
	}
}

// acceptOne accepts in the background; the channel stays empty when the listener closes first.
func acceptOne(l Listener) <-chan net.Conn {
	accepted := make(chan net.Conn, 1)
	go func() { // ends with Accept, which the listener's Close ends
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
	}()
	return accepted
}

// TestWebSocketFramesBehindTheRequest sends the first frame without waiting for the answer.
func TestWebSocketFramesBehindTheRequest(t *testing.T) {
	l := listen(t, "ws://127.0.0.1:0/mqtt", Config{})
	accepted := acceptOne(l)
	bytes := fmt.Sprintf(request, "/mqtt", "Sec-WebSocket-Protocol: mqtt\r\n") + string(masked(ws.NewBinaryFrame([]byte("early"))))
	if _, status := ask(t, l, bytes); status != "101" {
		t.Fatalf("got %s, want 101", status)
	}
	server := <-accepted
	defer closeOf(t, server)
	if err := server.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := ReadWaiter(server)(); err != nil {
		t.Errorf("waiting for what is here already: %v", err)
	}
	wantRead(t, server, "early")
}

func TestWebSocketRequestIsBounded(t *testing.T) {
	rejected := make(chan error, 1)
	l := listen(t, "ws://127.0.0.1:0/mqtt", Config{Rejected: func(_ net.Addr, err error) { rejected <- err }})
	c, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(l.Addr(), "/mqtt"), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeOf(t, c)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for err == nil { // until the listener has enough
		_, err = c.Write([]byte("GET /mqtt HTTP/1.1 " + strings.Repeat("x", 1000)))
	}
	wantRejected(t, rejected, errLongRequest)
}

func TestDialSendsHeaders(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	server := &http.Server{ReadHeaderTimeout: patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("X-Token") + " " + r.Header.Get("Sec-WebSocket-Protocol")
		w.WriteHeader(http.StatusForbidden)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }() // ends with Close below
	_, err = Dial(context.Background(), "ws://"+l.Addr().String()+"/x", DialConfig{Header: http.Header{"X-Token": {"t"}}})
	if err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("got %v, want an error with 403", err)
	}
	if got := <-got; got != "t mqtt" {
		t.Errorf("got %q, want %q", got, "t mqtt")
	}
	closeOf(t, server)
	<-served
}

func TestWriteDoesNotAllocateOrChange(t *testing.T) {
	client, server := pair(t, listen(t, "ws://127.0.0.1:0", Config{}), DialConfig{})
	p, buf := []byte("some bytes to carry"), make([]byte, 4096)
	for _, c := range [][2]net.Conn{{server, client}, {client, server}} {
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := c[0].Write(p); err != nil {
				t.Fatal(err)
			}
			if n, err := c[1].Read(buf); err != nil || string(buf[:n]) != string(p) {
				t.Fatalf("got %q, %v", buf[:n], err)
			}
		})
		if allocs > 0 && !racing {
			t.Errorf("got %v allocations, want 0", allocs)
		}
	}
	if string(p) != "some bytes to carry" {
		t.Error("Write changed its argument")
	}
}

// TestCipher holds the outside library's masking against the one line of RFC 6455, 5.3, for every
// length up to some blocks, around larger sizes, and every place in the key.
func TestCipher(t *testing.T) {
	sizes := []int{1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384, 16399, 65535, 65536, 65551}
	for n := range 600 {
		sizes = append(sizes, n)
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	for _, n := range sizes {
		for at := range 8 {
			for from := range 3 {
				wantCiphered(t, n, from, key, at)
			}
		}
	}
}

func wantCiphered(t *testing.T, n, from int, key [4]byte, at int) {
	t.Helper()
	want, got := make([]byte, n+from+1), make([]byte, n+from+1) // one byte before and after that stays
	for i := range got {
		got[i] = byte(i * 7)
		want[i] = got[i]
		if i >= from && i < from+n {
			want[i] ^= key[(at+i-from)%4]
		}
	}
	ws.Cipher(got[from:from+n], key, at)
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes from %d, place %d in the key: masked wrongly", n, from, at)
	}
}
