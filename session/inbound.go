package session

import (
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// inbound is the QoS 2 packet identifiers that the client uses: between PUBLISH and PUBCOMP. Pure.
// Not safe for concurrent use.
//
//	Take → taking ─settled→ taken ─PUBREL→ completing ─stable→ gone
//	          └─ failed ──→ gone              └─ detached → unheard ─stable→ gone
type inbound struct {
	steps   packet.IDs
	waiting map[uint16][]*mqtt.Receipt // repeats that wait for the end of taking
}

// step is how far an identifier is; 0 = it is free.
type step byte

const (
	taking     step = iota + 1 // whether the message is kept is not known yet
	taken                      // it is; PUBREC may leave
	completing                 // PUBREL came; that the id is forgotten is not stable yet
	unheard                    // the same, but the connection that PUBREL came from is gone
)

func (in *inbound) step(id uint16) step   { return step(in.steps.Get(id)) }
func (in *inbound) set(id uint16, s step) { in.steps.Set(id, byte(s)) }

// take notes id for r. first is true when the id was free; wait when r must wait for the first one's
// end. [MQTT-4.3.3-10]
func (in *inbound) take(id uint16, r *mqtt.Receipt) (first, wait bool) {
	switch in.step(id) {
	case 0:
		in.set(id, taking)
		return true, false
	case taking:
		if in.waiting == nil {
			in.waiting = make(map[uint16][]*mqtt.Receipt)
		}
		in.waiting[id] = append(in.waiting[id], r)
		return false, true
	}
	return false, false
}

// settle ends taking; the receipts returned are to be released with its result.
func (in *inbound) settle(id uint16, ok bool) []*mqtt.Receipt {
	if in.step(id) != taking {
		return nil
	}
	if in.set(id, taken); !ok {
		in.set(id, 0)
	}
	waiting := in.waiting[id]
	delete(in.waiting, id)
	return waiting
}

// pubrel begins the end of id. PUBREL may come again, from another connection too.
func (in *inbound) pubrel(id uint16) (was step) {
	switch was = in.step(id); was {
	case taken, unheard:
		in.set(id, completing)
	}
	return was
}

// completed ends it; answer tells that the connection waits for PUBCOMP. When the end could not be kept, the id stays
// taken.
func (in *inbound) completed(id uint16, ok bool) (answer bool) {
	was := in.step(id)
	if was != completing && was != unheard {
		return false
	}
	if in.set(id, taken); ok {
		in.set(id, 0)
	}
	return was == completing
}

// detach notes that the connection is gone, which waits for PUBCOMPs no more.
func (in *inbound) detach() {
	for id, s := range in.steps.All() {
		if step(s) == completing {
			in.set(id, unheard)
		}
	}
}
