package node

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"mangrove/bridge"
	"mangrove/internal/dashboard"
	"mangrove/mqtt"
	"mangrove/mqtt/transport"
)

// Addrs is where a started node can be found, with the ports the system chose.
type Addrs struct {
	Node   string
	Listen []string // in full, as "tcp://127.0.0.1:1883"
	Gossip string   // HOST:PORT; "" = takes no part
	HTTP   string   // HOST:PORT; "" = none
	Data   string   // absolute
}

// Addrs is for after Start.
func (n *Node) Addrs() Addrs {
	a := Addrs{Node: n.cfg.Name, Listen: n.bound(), Gossip: n.gossipAddress(), HTTP: n.httpAddress(), Data: n.cfg.Data}
	if abs, err := filepath.Abs(a.Data); err == nil { // an error means that the working folder is gone
		a.Data = abs
	}
	return a
}

// bound are the addresses of the listeners, scheme included.
func (n *Node) bound() []string {
	all := n.server.Addrs()
	for i, s := range all {
		if a, err := transport.ParseAddr(s); err == nil { // an error leaves it as the server has it
			all[i] = a.String()
		}
	}
	return all
}

func (n *Node) gossipAddress() string {
	if n.pool == nil {
		return ""
	}
	return n.pool.Addr()
}

func (n *Node) httpAddress() string {
	if n.http == nil {
		return ""
	}
	return n.http.Addr().String()
}

// serveHTTP comes first, so that a slow start can be watched.
func (n *Node) serveHTTP() (err error) {
	if n.cfg.HTTP == "" {
		return nil
	}
	n.http, err = dashboard.Start(dashboard.Config{
		Address: n.cfg.HTTP, Profile: n.cfg.HTTPProfile, Status: n.Status, Remark: n.remark, Ready: n.Ready, Metrics: n.metrics, Log: n.logOf("dashboard"),
	})
	if err == nil {
		n.OnClose("dashboard", n.http.Close)
	}
	return err
}

// Status is the node at this moment. Before it is ready only the beginning is filled in.
func (n *Node) Status() dashboard.Status {
	now := time.Now()
	up := now.Sub(n.began)
	s := dashboard.Status{
		Node: n.cfg.Name, Role: string(n.role.Name), Version: n.cfg.Version,
		Started: now.Add(-up), Uptime: up.Seconds(), Ready: true,
		Drops: n.metrics.Drops(), LargestQueues: []dashboard.Session{}, Links: []dashboard.Link{}, Members: []dashboard.Member{},
	}
	if err := n.Ready(); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	if !n.running.Load() {
		return s
	}
	s.StoreID = fmt.Sprintf("%016x", n.store.ID())
	s.Listen, s.Gossip, s.HTTP = n.bound(), n.gossipAddress(), n.httpAddress()
	n.countInto(&s)
	s.Links, s.Members, s.Spread = n.links(), n.members(), n.spread()
	s.Full, s.FullQueues = n.fullQueues()
	if n.role.Name == bridge.RoleCore {
		s.Edges = &dashboard.Edges{}
		s.Edges.Known, s.Edges.Connected, s.Edges.Away = n.Links.Edges(awayShown)
	}
	return s
}

// awayShown is how many edges that are connected nowhere Status names.
const awayShown = 100

// largestShown is how many queues of clients Status shows.
const largestShown = 5

func (n *Node) countInto(s *dashboard.Status) {
	b := n.server.Stats()
	s.Clients, s.Subscriptions = b.Clients, b.Subscriptions
	s.MessagesIn, s.MessagesOut, s.BytesIn, s.BytesOut = b.MessagesIn, b.MessagesOut, b.BytesIn, b.BytesOut
	all := n.sessions.Overview(largestShown)
	s.Sessions, s.QueuedMessages, s.QueuedBytes = all.Sessions, all.Queued, all.QueuedBytes
	for _, i := range all.Largest {
		s.LargestQueues = append(s.LargestQueues, sessionOf(i))
	}
	s.Retained = n.retained.Len()
}

// remark is what a probe of a ready node is told: that queues drop their oldest, or refuse.
func (n *Node) remark() string {
	if !n.running.Load() {
		return ""
	}
	full := n.sessions.CountFull() + n.Links.CountFull()
	if full == 0 {
		return ""
	}
	return fmt.Sprintf("%d queues are at their bound (limits.when_full): /api/v1/status names them", full)
}

// fullShown is how many full queues of clients Status shows.
const fullShown = 10

// fullQueues are those at their bound: of neighbours all, of clients the largest; and how many there are.
func (n *Node) fullQueues() (full []dashboard.FullQueue, all int) {
	for _, l := range n.Links.Status() {
		if f := l.Full; f.Spell.Full() {
			full = append(full, dashboard.FullQueue{Kind: "neighbour", Name: cmp.Or(l.Name, scopes[l.Scope]), Messages: l.BacklogMessages,
				Bytes: int64(l.BacklogBytes), Oldest: f.Oldest.Seconds(), Since: f.Spell.Since, Dropped: f.Dropped, Refused: f.Refused})
		}
	}
	all = len(full) + n.sessions.CountFull()
	for _, i := range n.sessions.Full(fullShown) {
		full = append(full, dashboard.FullQueue{Kind: "client", Name: i.ClientID, Messages: i.Queued, Bytes: i.QueuedBytes,
			Oldest: i.Oldest.Seconds(), Since: i.FullSince, Dropped: i.Dropped, Refused: i.Refused})
	}
	return full, all
}

// scopes are the words for what a neighbour is to this node.
var scopes = map[mqtt.Scope]string{mqtt.ScopeEdge: "edge", mqtt.ScopePeer: "peer", mqtt.ScopeUplink: "uplink"}

func (n *Node) links() []dashboard.Link {
	all := []dashboard.Link{}
	for _, l := range n.Links.Status() {
		all = append(all, dashboard.Link{
			Name: l.Name, Scope: scopes[l.Scope], State: l.State, Protocol: string(l.Protocol), Since: l.Since, Address: l.Addr,
			BacklogMessages: l.BacklogMessages, BacklogBytes: int64(l.BacklogBytes), Oldest: l.Full.Oldest.Seconds(),
			Dropped: l.Full.Dropped, Refused: l.Full.Refused, FullSince: l.Full.Spell.Since, Attempts: l.Attempts,
			Sent: l.Sent, Received: l.Received, Repeats: l.Repeats, LastError: l.LastError, Twin: l.Twin, ClockAhead: l.ClockAhead, Unheard: l.Unheard,
			LineRate: l.LineRate,
		})
	}
	return all
}

// spread is how edges are spread; nil at an edge.
func (n *Node) spread() *dashboard.Spread {
	if n.role.Name != bridge.RoleCore {
		return nil
	}
	from := n.Links.Spread()
	s := &dashboard.Spread{Cores: []dashboard.CoreEdges{}, Active: from.Active, Waits: from.Waits, Asked: from.Asked, Moved: from.Moved, Stayed: from.Stayed}
	for _, c := range from.Cores {
		s.Cores = append(s.Cores, dashboard.CoreEdges{Name: c.Core, Edges: c.Edges, Share: c.Share, Weight: c.Weight})
	}
	return s
}

func (n *Node) members() []dashboard.Member {
	all := []dashboard.Member{}
	if n.pool == nil {
		return all
	}
	for _, m := range n.pool.Members() {
		all = append(all, dashboard.Member{
			Name: m.Name, Role: m.Meta.Role, State: string(m.State), Gossip: m.Addr, Link: m.Meta.Link, HTTP: m.Meta.HTTP,
		})
	}
	return all
}
