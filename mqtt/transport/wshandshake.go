package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/gobwas/ws"
)

// subprotocol is the WebSocket subprotocol of MQTT [MQTT-6.0.0-3] [MQTT-6.0.0-4] [MQTT311-6.0.0-3]
// [MQTT311-6.0.0-4].
const subprotocol = "mqtt"

// maxRequest bounds the bytes of a WebSocket handshake; a longer one is refused.
const maxRequest = 16 << 10

var errLongRequest = fmt.Errorf("websocket: handshake is longer than %d bytes", maxRequest)

// upgrade does the server's half of the handshake. path is the only one served, "" = any.
func upgrade(c net.Conn, path string) (net.Conn, error) {
	chosen := false
	u := ws.Upgrader{
		ReadBufferSize:  1024,
		WriteBufferSize: 512,
		OnRequest: func(uri []byte) error {
			if path == "" || pathOf(string(uri)) == path {
				return nil
			}
			return refuse(http.StatusNotFound, "nothing is served here")
		},
		Protocol: func(p []byte) bool {
			chosen = chosen || string(p) == subprotocol
			return string(p) == subprotocol
		},
		OnBeforeUpgrade: func() (ws.HandshakeHeader, error) {
			if !chosen {
				return nil, refuse(http.StatusBadRequest, "the subprotocol mqtt is needed")
			}
			return ws.HandshakeHeaderString(""), nil
		},
	}
	request := &requestReader{Conn: c}
	if _, err := u.Upgrade(request); err != nil {
		return nil, fmt.Errorf("websocket: %w", err)
	}
	return newWSConn(c, false, request.rest), nil
}

func pathOf(uri string) string {
	path, _, _ := strings.Cut(uri, "?")
	return path
}

func refuse(status int, why string) error {
	return ws.RejectConnectionError(ws.RejectionStatus(status), ws.RejectionReason(why))
}

// requestReader reads a request up to its empty line and keeps what the peer sent after it, which the
// HTTP parser's buffer would swallow.
type requestReader struct {
	net.Conn
	seen int
	tail [3]byte // the last bytes given out
	rest []byte
	done bool
}

func (r *requestReader) Read(p []byte) (int, error) {
	if r.done {
		return 0, io.EOF
	}
	if r.seen >= maxRequest {
		return 0, errLongRequest
	}
	n, err := r.Conn.Read(p)
	if end := r.end(p[:n]); end >= 0 {
		r.done = true
		r.rest = bytes.Clone(p[end:n])
		n = end
	}
	r.seen += n
	return n, err
}

// end finds where the empty line ends in b, which follows tail; -1 = not yet.
func (r *requestReader) end(b []byte) int {
	joined := append(r.tail[:len(r.tail):len(r.tail)], b...)
	for _, empty := range []string{"\n\r\n", "\n\n"} {
		if i := bytes.Index(joined, []byte(empty)); i >= 0 {
			return i + len(empty) - len(r.tail)
		}
	}
	copy(r.tail[:], joined[len(joined)-len(r.tail):])
	return -1
}

var errSubprotocol = errors.New("websocket: the server did not choose the subprotocol mqtt [MQTT-6.0.0-4]")
