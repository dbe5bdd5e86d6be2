package powercut

import (
	"fmt"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

const receiveMaximum = 8

// subscriber acknowledges, comes and goes. A restless one also subscribes, unsubscribes and begins anew.
type subscriber struct {
	client
	qos      byte
	wants    []string
	restless bool
	on       map[string]int // filters whose SUBACK has come, with a number of their own for each time
	times    int

	todo     []packetIn          // to be answered
	received map[uint16]string   // QoS 2: between PUBLISH and PUBREL
	flight   map[uint16]string   // not answered on this connection
	got      map[string]int      // messages, repeats of packets left out
	fresh    map[string]int      // QoS 1: deliveries without DUP
	last     map[stream]*message // the latest one
}

// stream is what order is promised for.
type stream struct {
	from, topic string
	qos         byte
}

// holding is a subscription from its SUBACK to its UNSUBSCRIBE.
type holding struct {
	s      *subscriber
	filter string
	time   int
}

func newSubscriber(w *world, id string, qos byte, restless bool, wants ...string) *subscriber {
	s := &subscriber{client: client{w: w, id: id}, qos: qos, wants: wants, restless: restless, on: map[string]int{}}
	s.begin()
	return s
}

// begin is the begin of a new session.
func (s *subscriber) begin() {
	clear(s.on)
	s.todo, s.received, s.flight = nil, map[uint16]string{}, map[uint16]string{}
	s.got, s.fresh, s.last = map[string]int{}, map[string]int{}, map[stream]*message{}
}

// act does something at random.
func (s *subscriber) act() {
	roll := s.w.rng.IntN(20)
	switch {
	case s.busy:
	case s.session == nil:
		if s.restless && roll == 0 {
			s.anew()
		}
		s.connect(nil, func() { clear(s.flight); s.todo = nil })
	case len(s.on) < len(s.wants) && (!s.restless || roll < 8):
		s.subscribe()
	case roll == 0:
		s.disconnect(s.w.rng.IntN(2) == 0)
	case s.restless && roll < 3:
		s.unsubscribe(s.wants[s.w.rng.IntN(len(s.wants))])
	case roll < 5:
		s.out.setFull(s.w.rng.IntN(2) == 0)
		s.session.Resume()
	default:
		s.answer(1 + s.w.rng.IntN(6))
	}
}

// anew gives up the session: the next connection is a clean start.
func (s *subscriber) anew() {
	s.w.owesNothing(s)
	s.begin()
	s.clean = true
}

// subscribe asks for the first filter that is missing, and is sent what is retained there.
func (s *subscriber) subscribe() {
	for _, filter := range s.wants {
		if _, ok := s.on[filter]; ok {
			continue
		}
		session, node := s.session, s.w.node
		s.w.async(&s.client, func() func() {
			_, err := session.Subscribe([]mqtt.Subscription{{Filter: filter, QoS: s.qos}})
			if err == nil {
				s.retained(session, node, filter)
			}
			return func() {
				if err != nil {
					s.w.fail("%s: subscribe to %s: %v", s.id, filter, err)
				}
				s.times++
				s.on[filter] = s.times
			}
		})
		return
	}
}

// retained is what the node does after a SUBSCRIBE.
func (s *subscriber) retained(session mqtt.Session, node *machine, filter string) {
	b := node.store.NewBatch()
	r := mqtt.NewReceipt(b, nil)
	node.retained.Match(filter, time.Now(), func(m *mqtt.Message) bool {
		session.Deliver(m, mqtt.Delivery{QoS: min(m.QoS, s.qos), Retain: true}, r)
		return true
	})
	r.Close()
	node.store.Commit(b)
}

func (s *subscriber) unsubscribe(filter string) {
	delete(s.on, filter)
	session := s.session
	s.w.async(&s.client, func() func() {
		_, err := session.Unsubscribe([]string{filter})
		return func() {
			if err != nil {
				s.w.fail("%s: unsubscribe from %s: %v", s.id, filter, err)
			}
		}
	})
}

// answer acknowledges up to n packets, in order.
func (s *subscriber) answer(n int) {
	for ; n > 0 && len(s.todo) > 0; n-- {
		in := s.todo[0]
		s.todo = s.todo[1:]
		switch {
		case in.kind == packet.PUBREL:
			delete(s.received, in.id)
			delete(s.flight, in.id)
			s.acked(packet.PUBCOMP, in.id)
		case in.qos == 1:
			delete(s.flight, in.id)
			s.acked(packet.PUBACK, in.id)
		case in.qos == 2:
			s.acked(packet.PUBREC, in.id)
		}
	}
}

// read handles what has come.
func (s *subscriber) read() {
	if s.out == nil {
		return
	}
	for _, in := range s.out.take() {
		s.handle(in)
		s.todo = append(s.todo, in)
	}
}

// handle notes what a packet tells.
func (s *subscriber) handle(in packetIn) {
	if in.kind != packet.PUBLISH || !s.legal(in) {
		return
	}
	known, repeat := s.received[in.id]
	if repeat && (known != in.payload || in.qos != 2) {
		s.w.fail("%s: packet id %d stands for %q and comes with %q", s.id, in.id, known, in.payload)
	}
	if repeat && !in.dup {
		s.w.fail("%s: %q comes again without DUP", s.id, in.payload)
	}
	if in.qos == 2 {
		s.received[in.id] = in.payload
	}
	if !repeat && in.payload != "" {
		s.deliver(in)
	}
}

// legal looks at the packet identifier. [MQTT-2.2.1-4] [MQTT-3.3.4-9]
func (s *subscriber) legal(in packetIn) bool {
	if busy, ok := s.flight[in.id]; ok || in.id == 0 {
		s.w.fail("%s: %q comes with packet id %d, which is that of %q", s.id, in.payload, in.id, busy)
		return false
	}
	if s.flight[in.id] = in.payload; len(s.flight) > receiveMaximum {
		s.w.fail("%s: %d messages in flight, allowed are %d", s.id, len(s.flight), receiveMaximum)
	}
	return true
}

// deliver takes one message, and checks what is promised of it.
func (s *subscriber) deliver(in packetIn) {
	m := s.w.messages[in.payload]
	switch {
	case m == nil || m.topic != in.topic:
		s.w.fail("%s: got %q on %s, which nobody published", s.id, in.payload, in.topic)
		return
	case in.retain:
		return // what was published before may come as retained, too
	}
	s.got[in.payload]++
	if in.qos == 2 && s.got[in.payload] > 1 { // P2
		s.w.fail("%s: got %v %d times", s.id, m, s.got[in.payload])
	}
	if in.qos == 1 && !in.dup {
		if s.fresh[in.payload]++; s.fresh[in.payload] > m.times && m.n > 0 {
			s.w.fail("%s: got %v %d times without DUP, it was published %d times", s.id, m, s.fresh[in.payload], m.times)
		}
	}
	s.ordered(m)
}

// ordered checks first deliveries. [promise P3] Who subscribed after a message was first sent may get it late, when it is sent again.
func (s *subscriber) ordered(m *message) {
	of := stream{m.from, m.topic, m.qos}
	if s.got[m.payload] > 1 || m.n < 0 || !m.steady[s] {
		return
	}
	if before := s.last[of]; before != nil && before.n > m.n {
		s.w.fail("%s: got %v first after %v", s.id, m, before)
	}
	s.last[of] = m
}

// holds tells with which subscriptions s takes a topic.
func (s *subscriber) holds(name string) (held []holding) {
	for filter, time := range s.on {
		if topic.Match(filter, name) {
			held = append(held, holding{s, filter, time})
		}
	}
	return held
}

// still tells whether the subscription has been there all the time.
func (h holding) still() bool { return h.s.on[h.filter] == h.time }

// idle tells whether everything was answered.
func (s *subscriber) idle() bool {
	return s.session != nil && !s.busy && len(s.todo) == 0 && len(s.received) == 0
}

func (s *subscriber) String() string { return fmt.Sprintf("%s (QoS %d)", s.id, s.qos) }
