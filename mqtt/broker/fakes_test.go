package broker

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/router"
	"mangrove/mqtt/topic"
)

// memSessions keeps sessions in memory: enough of mqtt.Sessions to drive the engine.
type memSessions struct {
	router  *router.Router
	dropped atomic.Int64 // QoS 0 messages that found no room

	mu       sync.Mutex // before those of the sessions
	byID     map[string]*memSession
	opened   []mqtt.OpenRequest
	detached []mqtt.DetachRequest
	refuse   error // what Open answers when set
}

type memSession struct {
	all *memSessions
	id  string

	mu       sync.Mutex
	out      mqtt.Outlet
	keep     bool // outlives its connection
	live     bool // after Resume
	next     uint16
	queue    []memQueued
	received map[uint16]bool
	filters  []string
}

type memQueued struct {
	m *mqtt.Message
	d mqtt.Delivery
}

func newMemSessions(r *router.Router) *memSessions {
	return &memSessions{router: r, byID: map[string]*memSession{}}
}

func (a *memSessions) Open(req mqtt.OpenRequest, out mqtt.Outlet) (mqtt.Session, bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refuse != nil {
		return nil, false, a.refuse
	}
	a.opened = append(a.opened, req)
	s := a.byID[req.ClientID]
	present := s != nil && !req.Clean
	if s != nil {
		s.mu.Lock()
		if s.out != nil {
			s.out.Close(packet.SessionTakenOver)
		}
		s.mu.Unlock()
	}
	if !present {
		s = &memSession{all: a, id: req.ClientID, received: map[uint16]bool{}}
		a.byID[req.ClientID] = s
	}
	s.mu.Lock()
	s.out, s.keep, s.live = out, req.Expiry != 0, false
	s.mu.Unlock()
	return s, present, nil
}

func (s *memSession) ClientID() string  { return s.id }
func (s *memSession) Scope() mqtt.Scope { return mqtt.ScopeClient }

func (s *memSession) Online() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out != nil
}

func (s *memSession) Deliver(m *mqtt.Message, d mqtt.Delivery, r *mqtt.Receipt) {
	r.Count()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case d.QoS > 0:
		s.queue = append(s.queue, memQueued{m.Kept(), d})
		s.sendLocked()
	case s.live && s.out.Publish(m, d, 0, false) != mqtt.Sent:
		s.all.dropped.Add(1)
	}
}

func (s *memSession) sendLocked() {
	for s.live && len(s.queue) > 0 {
		q := s.queue[0]
		if s.out.Publish(q.m, q.d, s.next+1, false) == mqtt.Full {
			return
		}
		s.next++
		s.queue = s.queue[1:]
	}
}

func (s *memSession) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = s.out != nil
	s.sendLocked()
}

func (s *memSession) Subscribe(subs []mqtt.Subscription) (done []mqtt.Subscribed, err error) {
	for _, sub := range subs {
		done = append(done, s.all.router.Subscribe(s, sub))
		s.mu.Lock()
		s.filters = append(s.filters, sub.Filter)
		s.mu.Unlock()
	}
	return done, nil
}

func (s *memSession) Replay(m *mqtt.Message, d mqtt.Delivery, _ mqtt.Retention, r *mqtt.Receipt) {
	s.Deliver(m, d, r)
}

func (s *memSession) Unsubscribe(filters []string) (existed []bool, err error) {
	for _, f := range filters {
		existed = append(existed, s.all.router.Unsubscribe(s, f))
	}
	return existed, nil
}

func (s *memSession) Take(id uint16, r *mqtt.Receipt) (repeat bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repeat = s.received[id]
	s.received[id] = true
	if !repeat {
		r.OnSettle(s, uint64(id))
	}
	return repeat
}

func (s *memSession) Settle(r *mqtt.Receipt, id uint64, err error) {
	if err != nil {
		s.mu.Lock()
		delete(s.received, uint16(id))
		s.mu.Unlock()
	}
	r.Finish(err)
}

func (s *memSession) Acked(kind packet.Type, id uint16, _ packet.ReasonCode) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch kind {
	case packet.PUBREC:
		s.out.Ack(packet.PUBREL, id, packet.Success)
	case packet.PUBREL:
		reason := packet.PacketIDNotFound
		if s.received[id] {
			delete(s.received, id)
			reason = packet.Success
		}
		s.out.Ack(packet.PUBCOMP, id, reason)
	}
	return nil
}

func (s *memSession) Detach(out mqtt.Outlet, req mqtt.DetachRequest) {
	s.all.mu.Lock()
	s.all.detached = append(s.all.detached, req)
	s.all.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != out {
		return
	}
	s.out, s.live = nil, false
	if !s.keep {
		for _, f := range s.filters {
			s.all.router.Unsubscribe(s, f)
		}
	}
}

// memRetained keeps retained messages in memory.
type memRetained struct {
	mu      sync.Mutex
	byTopic map[string]*mqtt.Message
}

func (k *memRetained) Set(m *mqtt.Message, _ *mqtt.Receipt) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(m.Payload) == 0 {
		delete(k.byTopic, m.Topic)
		return
	}
	k.byTopic[m.Topic] = m.Kept()
}

func (k *memRetained) Match(filter string, now time.Time, visit func(*mqtt.Message) bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for name, m := range k.byTopic {
		if topic.Match(filter, name) && !m.Expired(now) && !visit(m) {
			return
		}
	}
}

func (k *memRetained) Replay(filter string, now time.Time, since uint64, visit func(*mqtt.Message, mqtt.Retention) bool) {
	k.Match(filter, now, func(m *mqtt.Message) bool { return m.ID > since || visit(m, nil) })
}

func (k *memRetained) Holds(name string, o mqtt.Origin) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.byTopic[name] != nil && k.byTopic[name].Origin == o
}

// rules is an Authority: users named "nobody" may not connect, topics that start with "secret" are closed.
type rules struct{}

func (rules) Authenticate(c *mqtt.Client) error {
	if c.Username == "nobody" {
		return &packet.Error{Reason: packet.BadUserNameOrPassword, Detail: "not known"}
	}
	return nil
}
func (rules) MayPublish(_ *mqtt.Client, t string) bool   { return !strings.HasPrefix(t, "secret") }
func (rules) MaySubscribe(_ *mqtt.Client, f string) bool { return !strings.HasPrefix(f, "secret") }
