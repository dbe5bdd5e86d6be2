package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/firmware-sim"
)

// The test binary plays a node when it is started as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "core" {
		playNode(os.Args[3])
		return
	}
	goleak.VerifyTestMain(m)
}

// playNode does what a node of that name would.
func playNode(name string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Fprintln(os.Stderr, `{"msg":"starting"}`)
	if name == "broken" {
		fmt.Fprintln(os.Stderr, `{"msg":"no disk"}`)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, `{"msg":"ready","listen":["tcp://127.0.0.1:1883"],"gossip":"127.0.0.1:7946","http":"127.0.0.1:9883"}`)
	<-stop
	fmt.Fprintln(os.Stderr, `{"msg":"stopped"}`)
}

func newNode(t *testing.T, name string) *node {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &node{name: name, role: "core", binary: binary, dir: t.TempDir()}
}

func TestNodeStartsWhenItSaysSoAndStops(t *testing.T) {
	n := newNode(t, "core-1")
	if err := n.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n.ready.mqtt() != "127.0.0.1:1883" || n.ready.HTTP != "127.0.0.1:9883" || !n.running() {
		t.Errorf("got ready %+v, running %v", n.ready, n.running())
	}
	n.terminate()
	if err := n.stop(); err != nil || n.running() {
		t.Errorf("got %v, running %v; want it stopped", err, n.running())
	}
	if log := n.lastWords(); !strings.Contains(log, "starting") || !strings.Contains(log, "stopped") {
		t.Errorf("got log %q, want all that was said", log)
	}
}

func TestNodeIsKilledAndStartedAgain(t *testing.T) {
	n := newNode(t, "core-1")
	for range 2 {
		if err := n.start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.kill(); err != nil || n.running() {
			t.Fatalf("got %v, running %v; want it killed", err, n.running())
		}
	}
	if err := n.kill(); err == nil {
		t.Error("got no error killing a node that has ended")
	}
}

func TestNodeThatEndsEarlyTellsItsLastWords(t *testing.T) {
	err := newNode(t, "broken").start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("got %v, want the node's last words", err)
	}
}

func TestPlanFitsTheDuration(t *testing.T) {
	p := newPlan(3, 30*time.Second)
	if p.cutEdge != 1 || p.killEdge != 2 || p.cutFor != 5*time.Second || p.downFor != 2*time.Second {
		t.Errorf("got %+v, want edge-b cut for 5 s and edge-c down for 2 s", p)
	}
	for _, d := range []time.Duration{minDuration, 10 * time.Second, time.Hour} {
		p := newPlan(1, d)
		if p.cutAt+p.cutFor >= p.killAt || p.killAt+p.downFor >= d || p.cutFor <= 0 || p.downFor <= 0 {
			t.Errorf("got %+v for %v, want one fault after the other, within it", p, d)
		}
	}
}

func TestPicture(t *testing.T) {
	got := picture([]string{"core-1", "core-2"}, []string{"edge-a", "edge-b", "edge-c"}, []int{50, 50, 5})
	for _, want := range []string{"│ core-1 │═══════════│ core-2 │", "┌──┴──────────┬─────────┴───┐", "│ edge-b │    │ edge-c │", "50 devices    5 devices"} {
		if !strings.Contains(got, want) {
			t.Errorf("got no %q in\n%s", want, got)
		}
	}
	for cores := 1; cores <= maxCells+1; cores++ {
		for edges := 1; edges <= maxCells+1; edges++ {
			for line := range strings.Lines(picture(make([]string, cores), make([]string, edges), make([]int, edges))) {
				if strings.TrimRight(line, " \n") != strings.TrimSuffix(line, "\n") {
					t.Errorf("%d cores, %d edges: got %q, want no trailing blanks", cores, edges, line)
				}
			}
		}
	}
}

func TestScreenRewritesItsLiveLineOnATerminalOnly(t *testing.T) {
	one := firmwaresim.Snapshot{Phase: firmwaresim.Running, Elapsed: time.Second, Devices: 2, Connected: 1, Total: firmwaresim.Tally{Published: 10}}
	two := one
	two.Elapsed, two.Total.Published = 2*time.Second, 30
	show := func(terminal bool) string {
		var b bytes.Buffer
		s := NewScreen(&b, terminal)
		s.Progress(one, "")
		s.Progress(two, " │ more")
		s.Event("it happened")
		return b.String()
	}
	if got := show(true); strings.Count(got, clearLine) != 2 || !strings.Contains(got, "  20 msg/s sent") || !strings.HasSuffix(got, "it happened\n") {
		t.Errorf("got %q on a terminal", got)
	}
	if got := show(false); strings.Contains(got, "\x1b") || !strings.Contains(got, "1/2 online │   20 msg/s sent,    0 received │ more\n") {
		t.Errorf("got %q elsewhere", got)
	}
}

func TestBacklogAsksTheNodes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, `{"links":[{"backlog_messages":300},{"backlog_messages":10}]}`)
	}))
	defer server.Close()
	b := newBacklog([]*node{{name: "edge-a", ready: ready{HTTP: strings.TrimPrefix(server.URL, "http://")}}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); b.run(ctx) }()
	for deadline := time.Now().Add(5 * time.Second); b.String() == "" && time.Now().Before(deadline); {
		sleep(ctx, 10*time.Millisecond)
	}
	cancel()
	<-done
	if got := b.String(); got != " │ 310 queued at edge-a" {
		t.Errorf("got %q, want 310 queued at edge-a", got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Cores: 1, Edges: 1, Devices: 1, Duration: minDuration}
	if err := good.Check(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
	for _, bad := range []Config{
		{Edges: 1, Devices: 1, Duration: minDuration}, {Cores: 1, Devices: 1, Duration: minDuration},
		{Cores: 30, Edges: 30, Devices: 100, Duration: minDuration}, {Cores: 1, Edges: 3, Devices: 2, Duration: minDuration},
		{Cores: 1, Edges: 1, Devices: 1, Duration: time.Second},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v: got no error", bad)
		}
	}
}
