//go:build linux

package transport

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func wantWoken(t *testing.T, woken <-chan struct{}, why string) {
	t.Helper()
	select {
	case <-woken:
	case <-time.After(patience):
		t.Fatalf("%s: nothing was woken", why)
	}
}

func TestParkedConnectionsAreWokenOnce(t *testing.T) {
	var lot Lot
	l := listen(t, "127.0.0.1:0", Config{})
	woken := make(chan struct{}, 10)
	wake := func() { woken <- struct{}{} }
	client, server := pair(t, l, DialConfig{})
	for range 3 { // the same one again and again
		if !server.(Conn).Park(&lot, wake) {
			t.Fatal("got false, want parked")
		}
		if _, err := client.Write([]byte("ab")); err != nil {
			t.Fatal(err)
		}
		wantWoken(t, woken, "bytes came")
		if _, err := io.ReadFull(server, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
	}
	if !server.(Conn).Park(&lot, wake) {
		t.Fatal("got false, want parked")
	}
	closeOf(t, client)
	wantWoken(t, woken, "the peer is gone")
	if !server.(Conn).Park(&lot, wake) {
		t.Fatal("got false, want parked")
	}
	wantWoken(t, woken, "it was gone already")

	_, server = pair(t, l, DialConfig{})
	if !server.(Conn).Park(&lot, wake) {
		t.Fatal("got false, want parked")
	}
	closeOf(t, server)
	wantWoken(t, woken, "closed here")
	if server.(Conn).Park(&lot, wake) {
		t.Error("a closed connection was parked")
	}
	closeOf(t, &lot)
	closeOf(t, &lot)
	_, server = pair(t, l, DialConfig{})
	if server.(Conn).Park(&lot, wake) {
		t.Error("a closed lot took a connection")
	}
	if len(woken) > 0 {
		t.Error("woken more than once")
	}
}

// TestEveryParkedConnectionWakes closes connections from both ends while others are parked on descriptors that were
// theirs a moment ago: each must be woken exactly once.
func TestEveryParkedConnectionWakes(t *testing.T) {
	var lot Lot
	l := listen(t, "127.0.0.1:0", Config{})
	const workers, rounds = 8, 100
	var all sync.WaitGroup
	var mu sync.Mutex // pair by pair, so that both ends belong together
	for w := range workers {
		all.Go(func() { // ends after its rounds; waited for below
			for i := range rounds {
				mu.Lock()
				client, server := rawPair(t, l)
				mu.Unlock()
				woken := make(chan struct{}, 2)
				closing := make(chan struct{})
				go func() { // ends with Close
					defer close(closing)
					if (w+i)%2 == 0 {
						server.Close()
					} else {
						client.Close()
					}
				}()
				if server.(Conn).Park(&lot, func() { woken <- struct{}{} }) {
					select {
					case <-woken:
					case <-time.After(patience):
						t.Error("a connection was closed and not woken")
					}
				}
				<-closing
				client.Close()
				server.Close()
				if len(woken) > 0 {
					t.Error("woken twice")
				}
			}
		})
	}
	all.Wait()
	closeOf(t, &lot)
}

func rawPair(t *testing.T, l Listener) (client, server net.Conn) {
	client, err := net.Dial("tcp", l.Addr()[len("tcp://"):])
	if err != nil {
		t.Error(err)
		return
	}
	server, err = l.Accept()
	if err != nil {
		t.Error(err)
	}
	return client, server
}
