package systemd

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestNotifiesTheSocket(t *testing.T) {
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", addr.Name)
	for _, c := range []struct {
		tell func() error
		want string
	}{{Ready, "READY=1"}, {Stopping, "STOPPING=1"}} {
		if err := c.tell(); err != nil {
			t.Fatalf("tell %s: %v", c.want, err)
		}
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 64)
		n, err := conn.Read(b)
		if err != nil || string(b[:n]) != c.want {
			t.Errorf("got %q, %v, want %q", b[:n], err, c.want)
		}
	}
}

func TestSilentWithoutSocket(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Ready(); err != nil {
		t.Errorf("got %v, want nothing to happen", err)
	}
}
