package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"mangrove/internal/sim"
)

// system is the nodes and the proxies between them. Its methods are for one goroutine.
type system struct {
	cfg     Config
	dir     string
	cores   []*node
	edges   []*node
	uplinks [][]*sim.Proxy // of each edge, one to each core
}

// start brings up cores, proxies and edges, each when what it needs is ready.
func (s *system) start(ctx context.Context) error {
	for i := range s.cfg.Cores {
		if err := s.startCore(ctx, i); err != nil {
			return err
		}
	}
	for i := range s.cfg.Edges {
		if err := s.startEdge(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) startCore(ctx context.Context, i int) error {
	n := &node{name: fmt.Sprintf("core-%d", i+1), role: "core", binary: s.cfg.Binary, dir: s.dir}
	s.cores = append(s.cores, n)
	extra := []string{"--listen", loopback, "--gossip", loopback, "--http", loopback}
	if i > 0 {
		extra = append(extra, "--join", s.cores[0].ready.Gossip)
	}
	return n.start(ctx, extra...)
}

const loopback = "127.0.0.1:0"

// startEdge puts a proxy in front of each core for this edge alone, so that its uplink can be cut.
func (s *system) startEdge(ctx context.Context, i int) error {
	n := &node{name: edgeName(i), role: "edge", binary: s.cfg.Binary, dir: s.dir}
	s.edges = append(s.edges, n)
	s.uplinks = append(s.uplinks, nil)
	var ways []string
	for _, core := range s.cores {
		proxy, err := sim.StartProxy(sim.ProxyConfig{Target: core.ready.mqtt()})
		if err != nil {
			return err
		}
		s.uplinks[i] = append(s.uplinks[i], proxy)
		ways = append(ways, proxy.Addr())
	}
	n.args = []string{"--core", strings.Join(ways, ","), "--discovery", "static"}
	return n.start(ctx, "--listen", loopback, "--http", loopback)
}

// edgeName is edge-a to edge-z, then edge-27.
func edgeName(i int) string {
	if i < 26 {
		return "edge-" + string(rune('a'+i))
	}
	return fmt.Sprintf("edge-%d", i+1)
}

// restart starts a killed edge again on the addresses and the data it had.
func (s *system) restart(ctx context.Context, edge int) (time.Duration, error) {
	n := s.edges[edge]
	begin := time.Now()
	err := n.start(ctx, "--listen", n.ready.mqtt(), "--http", n.ready.HTTP)
	return time.Since(begin), err
}

// cut makes every uplink of an edge silent: no byte passes, and nobody is told.
func (s *system) cut(edge int) {
	for _, p := range s.uplinks[edge] {
		p.Cut(sim.Fault{})
	}
}

func (s *system) heal(edge int) {
	for _, p := range s.uplinks[edge] {
		p.Heal()
	}
}

// nodes are all of them, cores first.
func (s *system) nodes() []*node { return append(append([]*node{}, s.cores...), s.edges...) }

// stop ends edges, then cores, then proxies, and waits for all.
func (s *system) stop() error {
	var errs []error
	for _, group := range [][]*node{s.edges, s.cores} {
		for _, n := range group {
			n.terminate()
		}
		for _, n := range group {
			errs = append(errs, n.stop())
		}
	}
	for _, ways := range s.uplinks {
		for _, p := range ways {
			errs = append(errs, p.Close())
		}
	}
	return errors.Join(errs...)
}
