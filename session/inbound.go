package session

import "mangrove/mqtt"

// inbound is the QoS 2 packet identifiers that the client uses: between PUBLISH and PUBCOMP. Pure.
// Not safe for concurrent use.
//
//	Take → taking ─settled→ taken ─PUBREL→ completing ─stable→ gone
//	          └─ failed ──→ gone
type inbound struct{ ids map[uint16]receipts }

// receipts is one identifier: its step, and the repeats that wait for the first.
type receipts struct {
	step    step
	waiting []*mqtt.Receipt
	outlet  mqtt.Outlet // where PUBREL came from
}

type step byte

const (
	taking     step = iota // whether the message is kept is not known yet
	taken                  // it is; PUBREC may leave
	completing             // PUBREL came; that the id is forgotten is not stable yet
)

// take notes id for r. first is true when the id was free; wait when r must wait for the first one's
// end. [MQTT-4.3.3-10]
func (in *inbound) take(id uint16, r *mqtt.Receipt) (first, wait bool) {
	got, known := in.ids[id]
	if !known {
		in.set(id, receipts{})
		return true, false
	}
	if got.step == taking {
		got.waiting = append(got.waiting, r)
		in.ids[id] = got
		return false, true
	}
	return false, false
}

func (in *inbound) set(id uint16, r receipts) {
	if in.ids == nil {
		in.ids = make(map[uint16]receipts)
	}
	in.ids[id] = r
}

// settle ends taking; the receipts returned are to be released with its result.
func (in *inbound) settle(id uint16, ok bool) []*mqtt.Receipt {
	got, known := in.ids[id]
	if !known || got.step != taking {
		return nil
	}
	waiting := got.waiting
	if ok {
		in.ids[id] = receipts{step: taken}
	} else {
		in.forget(id)
	}
	return waiting
}

// pubrel begins the end of id.
func (in *inbound) pubrel(id uint16, out mqtt.Outlet) (was step, known bool) {
	got, known := in.ids[id]
	if known && got.step != taking {
		in.ids[id] = receipts{step: completing, outlet: out}
	}
	return got.step, known
}

// completed ends it; the outlet is where PUBCOMP goes. When the end could not be kept, the id stays taken.
func (in *inbound) completed(id uint16, ok bool) (out mqtt.Outlet) {
	got := in.ids[id]
	if got.step != completing {
		return nil
	}
	if ok {
		in.forget(id)
	} else {
		in.ids[id] = receipts{step: taken}
	}
	return got.outlet
}

func (in *inbound) forget(id uint16) {
	delete(in.ids, id)
	if len(in.ids) == 0 {
		in.ids = nil
	}
}
