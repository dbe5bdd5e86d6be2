package session

import (
	"os"
	"testing"
	"time"

	"mangrove/internal/batch"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/mqtttest"
)

// node is a manager with its surroundings, and can be restarted.
type node struct {
	t      tester
	dir    string
	cfg    Config
	router *fakeRouter
	*Manager
	tempDir func() string
	disk    store.Config // of its store, but for the folder and the clock
}

// tester is what testing.T and rapid.T both have.
type tester interface {
	Helper()
	Error(...any)
	Errorf(string, ...any)
	Fatal(...any)
	Fatalf(string, ...any)
}

// newNode starts a node; durable says whether it has a store.
func newNode(t testing.TB, durable bool, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, tempDir: t.TempDir}
	if change != nil {
		change(&n.cfg)
	}
	if durable {
		n.dir = t.TempDir()
	}
	n.start()
	t.Cleanup(n.stop)
	return n
}

func (n *node) start() {
	n.t.Helper()
	n.router = newFakeRouter()
	if n.dir != "" {
		cfg := n.disk
		cfg.Dir, cfg.Now = n.dir, n.cfg.Now
		st, err := store.Open(cfg)
		if err != nil {
			n.t.Fatal(err)
		}
		n.cfg.Store = st
		n.router.nextID = st.NextID
	}
	n.cfg.Router = n.router
	m, err := New(n.cfg)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Manager = m
}

func (n *node) stop() {
	n.Manager.Close()
	if n.cfg.Store != nil {
		if err := n.cfg.Store.Close(); err != nil {
			n.t.Error(err)
		}
	}
}

// restart ends the node without telling the sessions, and starts it on the same folder.
func (n *node) restart() {
	n.t.Helper()
	n.stop()
	n.start()
}

// die is kill -9: what was not stable is lost, and nothing is written any more.
func (n *node) die() {
	n.t.Helper()
	eventually(n.t, "the store is idle", func() bool { batches, _ := n.cfg.Store.Pending(); return batches == 0 })
	dir := n.tempDir()
	if err := os.CopyFS(dir, os.DirFS(n.dir)); err != nil {
		n.t.Fatal(err)
	}
	n.stop()
	n.dir = dir
	n.start()
}

// rows counts the records of a table.
func (n *node) rows(table batch.Table) (rows int) {
	n.t.Helper()
	if err := n.cfg.Store.Scan(table, nil, nil, func(_, _ []byte) bool { rows++; return true }); err != nil {
		n.t.Fatal(err)
	}
	return rows
}

// connect opens and resumes.
func (n *node) connect(req mqtt.OpenRequest) (*Session, *fakeOutlet, bool) {
	n.t.Helper()
	if req.ReceiveMaximum == 0 {
		req.ReceiveMaximum = 65535
	}
	out := newOutlet()
	s, present, err := n.Open(req, out)
	if err != nil {
		n.t.Fatalf("open %s: %v", req.ClientID, err)
	}
	s.Resume()
	return s.(*Session), out, present
}

// send publishes and waits until the publisher may be acknowledged.
func (n *node) send(topic, payload string, qos byte) error {
	return n.sendMessage(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (n *node) sendMessage(m *mqtt.Message) error {
	b := n.newBatch()
	done := make(chan error, 1)
	r := mqtt.NewReceipt(b, func(err error) { done <- err })
	n.lend(m, r)
	r.Close()
	if n.cfg.Store != nil {
		n.cfg.Store.Commit(b)
	}
	return <-done
}

// lend publishes m as a connection does.
func (n *node) lend(m *mqtt.Message, r *mqtt.Receipt) { mqtttest.Lend(n.router.Publish, m, r) }

// sendLater publishes and does not wait.
func (n *node) sendLater(topic, payload string, qos byte) {
	n.publishLater(&mqtt.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

func (n *node) publishLater(m *mqtt.Message) {
	b := n.newBatch()
	r := mqtt.NewReceipt(b, func(err error) {
		if err != nil {
			n.t.Errorf("publish %s: %v", m.Payload, err)
		}
	})
	n.lend(m, r)
	r.Close()
	n.cfg.Store.Commit(b)
}

func (n *node) mustSend(topic string, qos byte, payloads ...string) {
	n.t.Helper()
	for _, p := range payloads {
		if err := n.send(topic, p, qos); err != nil {
			n.t.Fatalf("publish %s: %v", p, err)
		}
	}
}

func subscribe(t tester, s *Session, filter string, qos byte) {
	t.Helper()
	if _, err := s.Subscribe([]mqtt.Subscription{{Filter: filter, QoS: qos}}); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition that no event tells.
func eventually(t tester, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("did not happen: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
