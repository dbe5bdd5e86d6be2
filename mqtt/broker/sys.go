package broker

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// sys publishes figures of the node under $SYS/broker with Mosquitto's topic names. They are kept in
// memory for new subscribers, not in the retained store, and links do not carry them.
type sys struct {
	srv *Server

	load load      // run's goroutine only
	last time.Time // when load was fed; run's goroutine only

	mu     sync.Mutex
	latest map[string]*mqtt.Message
}

func newSys(s *Server) *sys { return &sys{srv: s, latest: map[string]*mqtt.Message{}} }

// run publishes at once and then at the configured interval until stop is closed.
func (y *sys) run(stop <-chan struct{}) {
	t := time.NewTicker(y.srv.cfg.SysInterval)
	defer t.Stop()
	for {
		y.publish()
		select {
		case <-t.C:
		case <-stop:
			return
		}
	}
}

// publish sends what has changed since the last time.
func (y *sys) publish() {
	batch := y.srv.newBatch()
	receipt := mqtt.NewReceipt(batch, nil)
	for _, f := range y.figures() {
		if m := y.keep(f); m != nil {
			y.srv.router.Deliver(m, receipt)
		}
	}
	receipt.Close()
	y.srv.commit(batch)
}

// keep remembers a figure and returns it as a message, nil when it is what it was.
func (y *sys) keep(f figure) *mqtt.Message {
	y.mu.Lock()
	defer y.mu.Unlock()
	name := topic.SysPrefix + "broker/" + f.name
	if old := y.latest[name]; old != nil && string(old.Payload) == f.value {
		return nil
	}
	m := &mqtt.Message{Topic: name, Payload: []byte(f.value), From: mqtt.Source{Scope: mqtt.ScopeClient}}
	y.srv.router.Stamp(m)
	y.latest[name] = m
	return m
}

// edges has the state of each edge told, as long as links know any.
func (y *sys) edges(stop <-chan struct{}) {
	if l, ok := y.srv.cfg.Links.(interface {
		WatchEdges(stop <-chan struct{}, tell func(edge string, known, connected bool))
	}); ok {
		l.WatchEdges(stop, y.tellEdge)
	}
}

// tellEdge tells whether an edge is connected, in the topic where Mosquitto tells it of its bridges; one that is not known any more
// has its topic cleared.
func (y *sys) tellEdge(edge string, known, connected bool) {
	m := &mqtt.Message{Topic: topic.StateOf(edge), QoS: 1, Retain: true, From: mqtt.Source{Scope: mqtt.ScopeClient}}
	if topic.CheckName(m.Topic, topic.MaxLevels) != nil {
		return
	}
	if known {
		m.Payload = []byte{'0'}
	}
	if connected {
		m.Payload = []byte{'1'}
	}
	y.srv.router.Stamp(m)
	y.mu.Lock()
	if y.latest[m.Topic] = m; !known {
		delete(y.latest, m.Topic)
	}
	y.mu.Unlock()
	batch := y.srv.newBatch()
	receipt := mqtt.NewReceipt(batch, nil)
	y.srv.router.Deliver(m, receipt)
	receipt.Close()
	y.srv.commit(batch)
}

// tells reports whether name is told by the node itself.
func (y *sys) tells(name string) bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.latest[name] != nil
}

// match visits the figures whose topic matches filter, as Retained.Match does.
func (y *sys) match(filter string, visit func(*mqtt.Message) bool) {
	if !topic.Special(filter) { // [MQTT-4.7.2-1]
		return
	}
	y.mu.Lock()
	defer y.mu.Unlock()
	for name, m := range y.latest {
		if topic.Match(filter, name) && !visit(m) {
			return
		}
	}
}

// figure is one topic below $SYS/broker.
type figure struct{ name, value string }

func (y *sys) figures() []figure {
	s := y.srv.Stats()
	rising := []counted{
		{"messages/received", s.PacketsIn},
		{"messages/sent", s.PacketsOut},
		{"publish/messages/received", s.MessagesIn},
		{"publish/messages/sent", s.MessagesOut},
		{"publish/messages/dropped", y.dropped()},
		{"bytes/received", s.BytesIn},
		{"bytes/sent", s.BytesOut},
	}
	n := func(name string, v int) figure { return figure{name, strconv.Itoa(v)} }
	all := []figure{
		{"version", "mangrove version " + s.Version},
		{"uptime", fmt.Sprintf("%d seconds", int(s.Uptime.Seconds()))},
		n("clients/connected", s.Clients),
		n("clients/active", s.Clients), // the old name of connected
		n("clients/maximum", s.MaxClients),
		n("connections/socket/count", s.Conns),
		n("subscriptions/count", s.Subscriptions),
		n("shared_subscriptions/count", s.SharedGroups),
	}
	for _, c := range rising {
		all = append(all, figure{c.name, strconv.FormatUint(c.value, 10)})
	}
	all = append(all, y.loads(append(rising, counted{"sockets", s.Opened}, counted{"connections", s.Opened}))...)
	return append(all, y.stored(s.Clients)...)
}

// loads feeds the averages with what has happened since the last time. Mosquitto has them without
// "messages" after "publish".
func (y *sys) loads(rising []counted) []figure {
	for i := range rising {
		rising[i].name = strings.Replace(rising[i].name, "publish/messages/", "publish/", 1)
	}
	now, since := y.srv.now(), time.Duration(0)
	if !y.last.IsZero() {
		since = now.Sub(y.last)
	}
	y.last = now
	return y.load.figures(rising, since)
}

// dropped is the number of all drops of the node.
func (y *sys) dropped() (n uint64) {
	for _, each := range y.srv.metrics.registry.Drops() {
		n += each
	}
	return n
}

// fullCounter knows how many queues are at their bound.
type fullCounter interface{ CountFull() int }

// stored are the figures that only some implementations of Sessions, Retained and Links can tell.
func (y *sys) stored(connected int) (all []figure) {
	if r, ok := y.srv.cfg.Retained.(interface{ Len() int }); ok {
		all = append(all, figure{"retained messages/count", strconv.Itoa(r.Len())})
	}
	if c, ok := y.srv.cfg.Sessions.(interface {
		Count() (sessions, connected int)
	}); ok {
		total, _ := c.Count()
		away := strconv.Itoa(max(0, total-connected))
		all = append(all, figure{"clients/total", strconv.Itoa(total)},
			figure{"clients/disconnected", away}, figure{"clients/inactive", away}) // the old name of disconnected
	}
	if q, ok := y.srv.cfg.Sessions.(interface {
		Queued() (messages int, bytes int64)
	}); ok {
		messages, bytes := q.Queued()
		count := strconv.Itoa(messages)
		all = append(all, figure{"store/messages/count", count}, figure{"messages/stored", count}, // the old name
			figure{"store/messages/bytes", strconv.FormatInt(bytes, 10)})
	}
	if c, ok := y.srv.cfg.Sessions.(fullCounter); ok {
		all = append(all, figure{"queues/full/clients", strconv.Itoa(c.CountFull())})
	}
	if c, ok := y.srv.cfg.Links.(fullCounter); ok {
		all = append(all, figure{"queues/full/neighbours", strconv.Itoa(c.CountFull())})
	}
	if e, ok := y.srv.cfg.Sessions.(interface{ Expired() uint64 }); ok {
		all = append(all, figure{"clients/expired", strconv.FormatUint(e.Expired(), 10)})
	}
	return all
}
