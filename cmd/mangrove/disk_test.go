package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mangrove/internal/sim"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// failSyncs has every fdatasync of this process fail once SIGUSR1 comes, and says so.
func failSyncs() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR1)
	go func() { // ends with the process
		<-signals
		if err := sim.FailCalls(syscall.SYS_FDATASYNC, int(syscall.EIO)); err != nil {
			fmt.Fprintln(os.Stderr, "cannot:", err)
			return
		}
		fmt.Fprintln(os.Stderr, "syncs fail from now on")
	}()
}

// waitFor reads the log up to a line with that text.
func (p *process) waitFor(text string) {
	p.t.Helper()
	for p.lines.Scan() {
		switch line := p.lines.Text(); {
		case strings.Contains(line, text):
			return
		case strings.Contains(line, "cannot:"):
			p.t.Skip(line)
		}
	}
	p.t.Fatalf("ended before it said %q", text)
}

func dialled(t *testing.T, addr, id string) *client.Client {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Addr: addr, ClientID: id, SessionExpiry: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Abort)
	return c
}

// P1: after a failed sync nothing is acknowledged, and the node ends with exit code 3 and says why. What was acknowledged before is there.
func TestFailedSyncEndsTheNode(t *testing.T) {
	args := []string{"edge", "--node", "n-1", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--http", "", "--log-format", "json"}
	p := run(t, args...)
	addr := p.ready().Listen[0]
	away := dialled(t, addr, "away")
	if _, err := away.Subscribe(t.Context(), packet.SubscribeFilter{Filter: "t", QoS: 1}); err != nil {
		t.Fatal(err)
	}
	away.Abort()
	pub := dialled(t, addr, "sensor")
	if _, err := pub.Publish(t.Context(), &client.Message{Topic: "t", Payload: []byte("kept"), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGUSR1)
	p.waitFor("syncs fail from now on")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := pub.Publish(ctx, &client.Message{Topic: "t", Payload: []byte("lost"), QoS: 1}); err == nil {
		t.Error("got PUBACK although the sync failed")
	}
	rest, code := p.end()
	if code != 3 || !strings.Contains(rest, "what is on disk is uncertain") || !strings.Contains(rest, "input/output error") {
		t.Errorf("got exit code %d and\n%swant 3 and why", code, rest)
	}
	t.Log(rest)

	again := run(t, args...)
	got := make(chan string, 2)
	_, err := client.Dial(t.Context(), client.Config{Addr: again.ready().Listen[0], ClientID: "away", SessionExpiry: time.Hour,
		OnMessage: func(m *client.Message) { got <- string(m.Payload) }})
	if err != nil {
		t.Fatal(err)
	}
	if first := <-got; first != "kept" {
		t.Errorf("got %q after the restart, want what was acknowledged first", first)
	}
	again.Process.Signal(syscall.SIGTERM)
	if rest, code := again.end(); code != 0 {
		t.Errorf("got exit code %d, log:\n%s", code, rest)
	}
}
