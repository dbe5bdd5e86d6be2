package powercut

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt"
)

// fault is what a node does wrong on purpose, to prove that the checks can fail.
type fault struct {
	unsynced  bool // records of the log are not synced
	early     bool // PUBACK does not wait for the disk
	forgetful bool // QoS 2 packet identifiers are not remembered
}

// world is a node, its clients, and what they know.
//
//	live ─ power cut ─ restart ─ live … ─ settle ─ everything acknowledged is there
type world struct {
	rng      *rand.Rand
	fault    fault
	node     *machine
	pubs     []*publisher
	subs     []*subscriber
	visitors []*visitor
	audience []*subscriber // who takes what is published here

	messages map[string]*message   // by payload
	retained map[string][]*message // by topic: what may be retained there; the last one acknowledged comes first
	acks     int
	handed   int // publishes handed to the router

	running sync.WaitGroup // calls that wait for the disk

	mu     sync.Mutex
	heard  []func() // their answers
	broken error    // the first promise that was
}

func newWorld(folder string, seed uint64, f fault) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), fault: f, node: newMachine(folder, seed, f.unsynced), messages: map[string]*message{},
		retained: map[string][]*message{}}
	return w
}

// populate adds publishers.
func (w *world) populate(publishers int) {
	for i := range publishers {
		p := &publisher{client: client{w: w, id: fmt.Sprintf("p%d", i)}}
		w.pubs = append(w.pubs, p)
		w.retained[p.own()] = []*message{{}} // nothing
	}
}

// listen adds subscribers.
func (w *world) listen(subs ...*subscriber) {
	w.subs = append(w.subs, subs...)
	w.audience = append(w.audience, subs...)
}

func (w *world) gone() bool { return w.node.gone() }

// fail notes the first promise that was broken.
func (w *world) fail(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
	}
}

func (w *world) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.broken
}

// async makes a call of c that waits for the disk; what it returns runs when the answer has come to the client.
func (w *world) async(c *client, call func() func()) {
	c.busy = true
	w.running.Go(func() {
		answer := call()
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.gone() {
			w.heard = append(w.heard, func() { c.busy = false; answer() })
		}
	})
}

// live lets clients act for so many steps, or until the power goes.
func (w *world) live(steps int) {
	for range steps {
		if w.gone() || w.failed() != nil {
			return
		}
		w.step()
	}
}

// step has one client do something.
func (w *world) step() {
	i, pubs, subs := w.rng.IntN(len(w.pubs)+len(w.subs)+len(w.visitors)), len(w.pubs), len(w.subs)
	switch {
	case i < pubs:
		w.pubs[i].act()
	case i < pubs+subs:
		w.subs[i-pubs].act()
	default:
		w.visitors[i-pubs-subs].act()
	}
	w.pass()
	w.read()
}

// pass lets others run, sometimes until there is nothing to do.
func (w *world) pass() {
	switch w.rng.IntN(4) {
	case 0:
	case 1, 2:
		runtime.Gosched()
	case 3:
		time.Sleep(time.Duration(w.rng.IntN(8)) * time.Millisecond)
	}
}

// read has clients handle what has come.
func (w *world) read() {
	w.mu.Lock()
	heard := w.heard
	w.heard = nil
	w.mu.Unlock()
	for _, answer := range heard {
		answer()
	}
	for _, p := range w.pubs {
		p.read()
	}
	for _, s := range w.subs {
		s.read()
	}
}

// cut is the end of a life: the power is gone.
func (w *world) cut() error {
	w.running.Wait()
	w.heard = nil
	err := w.node.stop()
	for _, p := range w.pubs {
		p.lose(func(in packetIn) { p.handle(in) })
	}
	for _, s := range w.subs {
		s.lose(s.handle)
	}
	for _, v := range w.visitors {
		v.cut()
	}
	w.node.disk.Restart(w.node.rng)
	return err
}

// boot starts the node; the power may go again meanwhile.
func (w *world) boot() error {
	err := w.node.boot()
	for ; errors.Is(err, errPower); err = w.node.boot() {
		w.node.disk.Restart(w.node.rng)
	}
	if err != nil {
		return err
	}
	w.checkRetained()
	return nil
}

// note keeps a message in mind.
func (w *world) note(m *message) *message {
	m.steady, m.owed = map[*subscriber]bool{}, map[*subscriber]bool{}
	if m.payload != "" {
		w.messages[m.payload] = m
	}
	return m
}

// published notes that a message goes to the router, and who takes it there.
func (w *world) published(m *message) {
	m.times++
	w.handed++
	m.handed = w.handed
	m.holders = nil
	for _, s := range w.audience {
		held := s.holds(m.topic)
		m.holders = append(m.holders, held...)
		m.steady[s] = (m.times == 1 || m.steady[s]) && len(held) > 0
	}
	if m.retain {
		w.retained[m.topic] = append(w.retained[m.topic], m)
	}
}

// acknowledged notes who has to get a message: whoever held a subscription all the time. [promise P1]
func (w *world) acknowledged(m *message) {
	w.acks++
	for _, h := range m.holders {
		if h.still() && m.payload != "" {
			m.owed[h.s] = true
		}
	}
	if len(m.owed) > 0 {
		for _, v := range w.visitors {
			v.stable(m.handed)
		}
	}
	if may := w.retained[m.topic]; m.retain {
		for i := len(may) - 1; i >= 0; i-- {
			if may[i] == m {
				w.retained[m.topic] = may[i:]
				return
			}
		}
	}
}

// due notes that a will is to be published now, or when the node is there again.
func (w *world) due(m *message) {
	for _, s := range w.audience {
		if !s.restless && len(s.holds(m.topic)) > 0 {
			m.owed[s] = true
		}
	}
}

// owesNothing: the session is given up.
func (w *world) owesNothing(s *subscriber) {
	for _, m := range w.messages {
		delete(m.owed, s)
		delete(m.steady, s)
	}
}

// checkRetained compares what is retained with what may be.
func (w *world) checkRetained() {
	have := map[string]string{}
	w.node.retained.Match("r/#", time.Now(), func(m *mqtt.Message) bool {
		have[m.Topic] = string(m.Payload)
		return true
	})
	for name, may := range w.retained {
		if !slices.ContainsFunc(may, func(m *message) bool { return m.payload == have[name] }) {
			w.fail("%s: retained is %q, may be one of %v", name, have[name], may)
		}
	}
}

// settle connects everybody, acknowledges everything and waits until nothing is left to do.
func (w *world) settle() {
	for round := 0; round < 400 && !w.settled(); round++ {
		w.connectAll()
		time.Sleep(100 * time.Millisecond)
		w.read()
		if w.gone() || w.failed() != nil {
			return
		}
	}
	time.Sleep(10 * time.Second) // wills wait for links after a restart; removed records wait for company
	for range 10 {
		w.read()
		w.connectAll()
		time.Sleep(100 * time.Millisecond)
	}
}

// connectAll has everybody connected, and every packet answered.
func (w *world) connectAll() {
	for _, p := range w.pubs {
		if p.session == nil && !p.busy {
			p.act()
		}
	}
	for _, s := range w.subs {
		switch {
		case s.busy:
		case s.session == nil:
			s.connect(nil, func() { clear(s.flight); s.todo = nil })
		default:
			s.out.setFull(false)
			s.session.Resume()
			s.answer(len(s.todo))
		}
	}
}

func (w *world) settled() bool {
	for _, p := range w.pubs {
		if p.session == nil || len(p.way) > 0 {
			return false
		}
	}
	for _, s := range w.subs {
		if !s.idle() {
			return false
		}
	}
	if w.node.links != nil {
		for _, l := range w.node.links.Status() {
			if l.BacklogMessages > 0 {
				return false
			}
		}
	}
	n, _ := w.node.sessions.Queued()
	return n == 0
}

// check tells what was broken, after settle.
func (w *world) check() error {
	if err := w.failed(); err != nil {
		return err
	}
	if !w.settled() {
		return errors.New("clients and node do not come to an end with each other")
	}
	for _, m := range w.messages {
		for s := range m.owed {
			if s.got[m.payload] == 0 { // P1
				return fmt.Errorf("%v did not get %v, which was acknowledged", s, m)
			}
		}
	}
	w.checkRetained()
	return errors.Join(w.failed(), w.checkGoodbyes(), w.checkStore())
}

// checkStore wants every body and every record to belong to something.
func (w *world) checkStore() error {
	r, err := w.node.store.Report()
	if err != nil {
		return err
	}
	if r.Found > 0 || r.Loose > 0 {
		return fmt.Errorf("the store has %d problems and %d bodies that nothing refers to: %q", r.Found, r.Loose, r.Problems)
	}
	kept := r.Records[batch.Retained] - w.node.retained.Cleared() // a clearing has no body
	if r.Bodies != kept || r.References != kept || r.Records[batch.Queues] != 0 || r.Records[batch.Received] != 0 {
		return fmt.Errorf("all is acknowledged, and the store has %d bodies for %d retained messages, %d queued messages, %d identifiers",
			r.Bodies, kept, r.Records[batch.Queues], r.Records[batch.Received])
	}
	return nil
}
