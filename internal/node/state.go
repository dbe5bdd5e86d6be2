package node

import (
	"context"
	"fmt"
	"net"

	"mangrove/bridge"
	"mangrove/internal/auth"
	"mangrove/internal/control"
	"mangrove/internal/store"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/mqtt/transport"
	"mangrove/retain"
	"mangrove/session"
)

func (n *Node) openStore() (err error) {
	cfg := store.Config{Dir: n.cfg.Data, Owner: n.cfg.Name, OnFatal: n.fail, Log: n.logOf("store"), Metrics: n.metrics}
	n.cfg.disk(&cfg)
	n.store, err = store.Open(cfg)
	if err == nil {
		n.OnClose("store", func(context.Context) error { return n.store.Close() })
	}
	return err
}

// openControl makes the operator's way to this node. A node without one still does its work: a full disk, or one whose file system
// knows no sockets, does not keep it from starting.
func (n *Node) openControl() error {
	c, err := control.Serve(control.Config{Dir: n.cfg.Data, Backup: n.store.Backup, Compact: n.store.CompactNow, Operator: operator{n}, Log: n.logOf("control")})
	if err != nil {
		n.log.Warn("no control socket: the data folder can be backed up only while the node is stopped", "err", err)
		return nil
	}
	n.OnClose("control", func(context.Context) error { return c.Close() })
	return nil
}

// loadState makes what lives in the store and needs no neighbour: retained messages and routes.
func (n *Node) loadState() (err error) {
	n.retained, err = retain.New(retain.Config{Store: n.store, MaxCleared: n.cfg.Limits.Cleared, ClearedKeep: n.cfg.Limits.ClearedFor,
		Log: n.logOf("retain"), Metrics: n.metrics})
	if err != nil {
		return err
	}
	n.OnClose("retained", func(context.Context) error { return n.retained.Close() })
	balance, err := n.cfg.Shared.balance()
	if err != nil {
		return err
	}
	n.router = router.New(router.Config{
		Life: n.store.Life(), NextID: n.store.NextID, Retained: n.retained, Durability: n.cfg.Durability, Balance: balance,
		Log: n.logOf("router"), Metrics: n.metrics,
	})
	return nil
}

// openLinks comes before openSessions, so that a will published while sessions close still finds the queues of
// the neighbours. Nothing is dialled yet.
func (n *Node) openLinks() error {
	secure, err := n.cfg.TLS.client(n.cfg.Dial.CA)
	if err != nil {
		return err
	}
	full, err := n.cfg.Limits.whenFull()
	if err != nil {
		return err
	}
	cfg := bridge.Config{
		Node: n.cfg.Name, Role: n.role.Name, Store: n.store, Router: n.router, Retained: n.retained,
		MaxQueueMessages: n.cfg.Limits.LinkMessages, MaxQueueBytes: n.cfg.Limits.LinkBytes,
		SeenBytes: n.cfg.Dial.RepeatBytes, MaxNeighbours: n.cfg.Dial.Neighbours,
		WhenFull:  full,
		KeepAlive: n.cfg.Dial.KeepAlive, Username: n.cfg.Dial.Username, Password: n.cfg.Dial.Password,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return transport.Dial(ctx, addr, transport.DialConfig{TLS: secure, Timeout: bridge.DefaultHandshake})
		},
		Log: n.logOf("bridge"), Metrics: n.metrics,
	}
	if n.role.Bridge != nil {
		n.role.Bridge(&cfg)
	}
	if n.Links, err = bridge.New(cfg); err != nil {
		return err
	}
	n.OnClose("links", n.Links.Close)
	return nil
}

func (n *Node) openSessions() error {
	full, err := n.cfg.Limits.whenFull()
	if err != nil {
		return err
	}
	n.sessions, err = session.New(session.Config{
		Store: n.store, Router: n.router, Log: n.logOf("session"), Metrics: n.metrics,
		MaxQueuedMessages: n.cfg.Limits.QueueMessages, MaxQueuedBytes: int64(n.cfg.Limits.QueueBytes),
		WhenFull: full,
	})
	if err == nil {
		n.OnClose("sessions", func(context.Context) error { n.sessions.Close(); return nil })
	}
	return err
}

// serve listens and accepts clients.
func (n *Node) serve() error {
	secure, err := n.cfg.TLS.server()
	if err != nil {
		return err
	}
	var listeners []broker.ListenerConfig
	for _, text := range n.cfg.Listen {
		l, err := broker.ParseListener(text)
		if err != nil {
			return err
		}
		l.TLS = secure
		listeners = append(listeners, l)
	}
	authority, err := auth.New(auth.Config{AllowAnonymous: n.cfg.anonymous(), PasswordFile: n.cfg.PasswordFile, Log: n.logOf("auth"), Metrics: n.metrics})
	if err != nil {
		return fmt.Errorf("load passwords: %w", err)
	}
	n.server, err = broker.New(broker.Config{
		Router: n.router, Sessions: n.sessions, Retained: n.retained, Store: n.store, Authority: authority, Links: n.Links,
		Listeners: listeners, MaxPacket: uint32(n.cfg.Limits.PacketSize), MaxConns: n.cfg.Limits.Connections,
		TopicLevels: n.cfg.Limits.TopicLevels, ReceiveMaximum: uint16(n.cfg.Limits.ReceiveMaximum), KeepAliveMax: n.cfg.Limits.KeepAlive,
		SessionExpiryMax: n.cfg.Limits.SessionExpiry, ShutdownReference: n.cfg.ShutdownReference,
		Version: n.cfg.Version, Log: n.logOf("broker"), Metrics: n.metrics,
	})
	if err != nil {
		return err
	}
	if err := n.server.Start(); err != nil {
		return err
	}
	n.OnClose("server", func(ctx context.Context) error {
		n.sessions.Stopping()
		if n.role.Name == bridge.RoleCore {
			n.leaveCores(ctx)
		}
		return n.server.Close(ctx)
	})
	return nil
}

// leaveCores tells the other cores what to keep for this one: what its own clients want who are known when it starts again.
func (n *Node) leaveCores(ctx context.Context) {
	kept, err := n.sessions.Kept()
	if err != nil {
		n.log.Warn("other cores keep all that was wanted here", "err", err)
		return
	}
	n.Links.Leave(ctx, kept)
}
