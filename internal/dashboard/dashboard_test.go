package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a running server whose readiness the test turns.
type fixture struct {
	*Server
	t      *testing.T
	ready  atomic.Value // string; "" = ready
	client *http.Client
}

func start(t *testing.T, s Status) *fixture {
	t.Helper()
	f := &fixture{t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: 5 * time.Second}}
	f.ready.Store("")
	reg := metrics.New()
	reg.Dropped("queue full").Add(2)
	srv, err := Start(Config{
		Address: "127.0.0.1:0",
		Metrics: reg,
		Status:  func() Status { return s },
		Ready: func() error {
			if why := f.ready.Load().(string); why != "" {
				return errors.New(why)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	f.Server = srv
	t.Cleanup(func() {
		f.client.CloseIdleConnections()
		if err := srv.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return f
}

func (f *fixture) do(method, path string) (int, string) {
	f.t.Helper()
	req, err := http.NewRequest(method, "http://"+f.Addr().String()+path, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("read %s: %v", path, err)
	}
	return resp.StatusCode, string(b)
}

func TestEndpoints(t *testing.T) {
	f := start(t, Status{Node: "e<1>", Role: "edge", Links: []Link{{Name: "core-1", State: "up", BacklogMessages: 7}}, Drops: map[string]uint64{"expired": 4},
		Spread: &Spread{Cores: []CoreEdges{{Name: "core-1", Edges: 7, Share: 4}, {Name: "core-2"}}, Asked: 3, Moved: 2, Stayed: 1, Waits: "core-2 is <away>"}})
	cases := []struct {
		method, path string
		code         int
		has          string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/metrics", 200, `mangrove_messages_dropped_total{reason="queue full"} 2`},
		{"GET", "/metrics", 200, "process_resident_memory_bytes"},
		{"GET", "/api/v1/status", 200, `"backlog_messages": 7`},
		{"GET", "/", 200, "e&lt;1&gt; (edge)"},
		{"GET", "/", 200, "<td>expired</td><td>4</td>"},
		{"GET", "/", 200, "<td>edges at core-1</td><td>7, its share is 4</td>"},
		{"GET", "/", 200, "3, of which 2 moved and 1 stayed"},
		{"GET", "/", 200, "core-2 is &lt;away&gt;"},
		{"GET", "/nowhere", 404, ""},
		{"POST", "/readyz", 405, ""},
		{"HEAD", "/healthz", 200, ""},
	}
	for _, c := range cases {
		code, body := f.do(c.method, c.path)
		if code != c.code || !strings.Contains(body, c.has) {
			t.Errorf("%s %s: got %d %q, want %d with %q", c.method, c.path, code, body, c.code, c.has)
		}
	}
}

func TestReadyzSaysWhyNot(t *testing.T) {
	f := start(t, Status{})
	f.ready.Store("disk full")
	if code, body := f.do("GET", "/readyz"); code != 503 || body != "not ready: disk full\n" {
		t.Errorf("got %d %q, want 503 with the reason", code, body)
	}
	if code, _ := f.do("GET", "/healthz"); code != 200 {
		t.Errorf("healthz got %d while not ready, want 200", code)
	}
}

func TestStatusIsJSON(t *testing.T) {
	f := start(t, Status{Node: "c1", Role: "core", Clients: 3, Members: []Member{{Name: "c2", State: "alive"}}})
	_, body := f.do("GET", "/api/v1/status")
	var got Status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("decode: %v", err)
	}
	if got.Node != "c1" || got.Clients != 3 || len(got.Members) != 1 {
		t.Errorf("got %+v, want what Status gave", got)
	}
}

func TestCloseTwice(t *testing.T) {
	f := start(t, Status{})
	for range 2 {
		if err := f.Close(t.Context()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

func TestAddressInUse(t *testing.T) {
	f := start(t, Status{})
	_, err := Start(Config{Address: f.Addr().String(), Status: f.cfg.Status, Ready: f.cfg.Ready})
	if err == nil || !strings.Contains(err.Error(), "listen for http") {
		t.Errorf("got %v, want an error that says what failed", err)
	}
}
