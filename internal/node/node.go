// Package node puts together what both roles are made of. An edge and a core differ in whom they
// link to and how they find them; packages edge and core say so through Role.
//
//	dashboard (answers "not ready") → store → control socket → retained → router → links → sessions → server listens
//	  → Role.Meet (gossip or dialling, with the addresses listened on) → ready
//
// Close does the same backwards: goodbye to the others, no more clients, sessions and links flushed, the
// store last but for the dashboard. Each part owns its goroutines and ends them in its Close; this package has none
// but the closing of a store that failed.
//
// A data folder holds what package store keeps there: lock (the process that uses it), clock (see store.Store.Stamp), state.db and
// log (sessions, subscriptions, queues, retained messages, link queues, the cores last heard of, and the random store id that names the
// node to its neighbours, with the lives of the folder); and control.sock while the node runs. Copying a folder
// while a node runs on it breaks promises; running nodes on copies made of a stopped one does not.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge"
	"mangrove/internal/dashboard"
	"mangrove/internal/gossip"
	"mangrove/internal/metrics"
	"mangrove/internal/store"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/retain"
	"mangrove/session"
)

// Role is what makes a node an edge or a core.
type Role struct {
	Name   bridge.Role
	Bridge func(*bridge.Config) // sets what only this role sets; nil = nothing
	// Meet starts to look for neighbours. Links and addresses of n are there; what it opens it hands
	// to n.OnClose.
	Meet func(n *Node) error
}

// Node is one running edge or core. Its methods are safe for concurrent use.
type Node struct {
	Links *bridge.Bridge // set from Start on

	cfg     Config
	role    Role
	log     *slog.Logger
	metrics *metrics.Registry
	began   time.Time
	failing sync.Once
	failed  chan error             // capacity 1: what ended the node from inside
	state   atomic.Pointer[string] // why it is not ready; "" = it is
	running atomic.Bool            // the parts are there; set after they are, for readers of other goroutines

	store    *store.Store
	retained *retain.Store
	router   *router.Router
	sessions *session.Manager
	server   *broker.Server
	http     *dashboard.Server
	pool     *gossip.Pool // nil = takes no part in gossip

	parts   parts
	closing sync.Once
	closed  error
}

// New checks cfg. Nothing is opened before Start.
func New(cfg Config, role Role) (*Node, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Metrics == nil {
		cfg.Metrics = metrics.New()
	}
	n := &Node{cfg: cfg, role: role, log: cfg.Log, metrics: cfg.Metrics, failed: make(chan error, 1)}
	n.setState("not started")
	return n, nil
}

// setState says why the node is not ready; "" = it is.
func (n *Node) setState(why string) { n.state.Store(&why) }

// Start opens everything and returns when clients are accepted. It is called once. When it fails, or
// ctx ends meanwhile, everything it opened is closed again.
func (n *Node) Start(ctx context.Context) error {
	n.began = time.Now()
	n.setState("starting")
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"dashboard", n.serveHTTP},
		{"store", n.openStore},
		{"control", n.openControl},
		{"state", n.loadState},
		{"links", n.openLinks},
		{"sessions", n.openSessions},
		{"server", n.serve},
		{"neighbours", func() error { return n.role.Meet(n) }},
	} {
		err := ctx.Err()
		if err == nil {
			err = step.do()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("start %s: %w", step.name, err), n.Close(context.WithoutCancel(ctx)))
		}
	}
	n.running.Store(true)
	n.setState("")
	return nil
}

// Name is the node's name in the fleet.
func (n *Node) Name() string { return n.cfg.Name }

// StoreID names the node's data in the fleet; for Role.Meet and later.
func (n *Node) StoreID() uint64 { return n.store.ID() }

// OnClose adds something to be closed by Close, before all that was added earlier.
func (n *Node) OnClose(name string, fn func(context.Context) error) { n.parts.add(name, fn) }

// Failed gives the error that ended the node from inside: its disk can no longer be trusted. The
// owner then calls Close.
func (n *Node) Failed() <-chan error { return n.failed }

// logOf is the log of one part.
func (n *Node) logOf(name string) *slog.Logger { return n.log.With("part", name) }

// fail implements store.Config.OnFatal.
func (n *Node) fail(err error) {
	n.failing.Do(func() {
		n.setState(err.Error())
		n.failed <- err
	})
}

// Ready is nil when clients are accepted and what they publish can be kept, else why not.
func (n *Node) Ready() error {
	if why := *n.state.Load(); why != "" {
		return errors.New(why)
	}
	return n.store.Healthy()
}

// Close stops accepting, flushes and closes everything. Parts that can be hurried are when ctx ends.
// It may be called twice; the second call waits for the first and gives the same answer.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() {
		n.running.Store(false)
		if *n.state.Load() == "" {
			n.setState("stopping")
		}
		n.closed = n.parts.close(ctx, n.log)
	})
	return n.closed
}
