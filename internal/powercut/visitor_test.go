package powercut

import (
	"fmt"
	"slices"
)

// visitor is a client whose session ends with its connection, and who has a will: the node knows nothing else of it. It says goodbye, is lost, or
// connects again beside its own connection.
type visitor struct {
	client
	times  int
	visits []*visit
}

// visit is one connection. The store may forget it in a power cut until it is firm: until something that is owed to somebody was published after
// CONNACK, and acknowledged. A goodbye begins anew.
//
//	here ─┬─ lost, taken over, power cut ─ and firm → the will must come, once
//	      └─ goodbye ─ and firm → the will must not come
type visit struct {
	will    *message
	handed  int  // publishes before it
	firm    bool // the store has it
	over    bool // the connection was lost
	goodbye bool
	owed    []*subscriber // over: who had subscribed
}

func newVisitor(w *world, id string) *visitor {
	return &visitor{client: client{w: w, id: id, fleeting: true}}
}

// visit adds visitors.
func (w *world) visit(n int) {
	for i := range n {
		w.visitors = append(w.visitors, newVisitor(w, fmt.Sprintf("v%d", i)))
	}
}

// act does something at random.
func (v *visitor) act() {
	roll := v.w.rng.IntN(12)
	switch {
	case v.busy:
	case v.session == nil:
		v.open()
	case roll == 0:
		v.out.taken()
		v.open()
	case roll < 4:
		v.leave(roll < 2)
	}
}

// open connects; what is there already is taken over.
func (v *visitor) open() {
	v.times++
	will := v.w.note(&message{from: v.id, n: -v.times, topic: "w/" + v.id, payload: fmt.Sprintf("will %d of %s", v.times, v.id), qos: 2})
	v.connect(will, func() {
		if v.will = nil; len(v.visits) > 0 {
			v.lost(v.visits[len(v.visits)-1])
		}
		v.visits = append(v.visits, &visit{will: will, handed: v.w.handed})
	})
}

// leave ends the connection, in an orderly way or not.
func (v *visitor) leave(orderly bool) {
	last := v.visits[len(v.visits)-1]
	if orderly {
		last.goodbye, last.firm, last.handed = true, false, v.w.handed
	} else {
		v.lost(last)
	}
	v.disconnect(orderly)
}

// lost notes that the will of a visit is to come, if the store has it.
func (v *visitor) lost(at *visit) {
	if at.over || at.goodbye {
		return
	}
	at.over = true
	for _, s := range v.w.audience {
		if !s.restless && len(s.holds(at.will.topic)) > 0 {
			at.owed = append(at.owed, s)
		}
	}
	v.settle(at)
}

// settle says what must come of a visit, as soon as it is firm.
func (v *visitor) settle(at *visit) {
	switch {
	case !at.firm:
	case at.over:
		for _, s := range at.owed {
			at.will.owed[s] = true
		}
	case at.goodbye:
		at.will.barred = true
	}
}

// stable notes that what was there before the publish of that number is in the store.
func (v *visitor) stable(handed int) {
	for _, at := range v.visits {
		if at.handed < handed {
			at.firm = true
			v.settle(at)
		}
	}
}

// cut is the end of the connection with the node's. What is not firm is uncertain for ever.
func (v *visitor) cut() {
	for _, at := range v.visits {
		v.lost(at)
	}
	v.visits = nil
	v.lose(func(packetIn) {})
}

// checkGoodbyes tells of wills that came after a goodbye.
func (w *world) checkGoodbyes() error {
	for _, m := range w.messages {
		if m.barred && slices.ContainsFunc(w.subs, func(s *subscriber) bool { return s.got[m.payload] > 0 }) {
			return fmt.Errorf("%v came after its client had said goodbye", m)
		}
	}
	return nil
}
