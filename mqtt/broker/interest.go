package broker

import "mangrove/mqtt"

// interest counts, for each filter, who wants it: how the links know what to ask for and to carry.
// The Router's lock guards it.
type interest struct {
	filters  map[string]*want // not changed in place: those of one subscription alone are shared
	watchers map[*watcher]struct{}
}

// scopeCount is the number of bits in mqtt.Scope.
const scopeCount = 5

// want holds the number of subscriptions under one filter by scope and QoS.
type want struct{ held [scopeCount][3]int32 }

// alone are the wants of one subscription, which most filters have.
var alone = func() (all [scopeCount][3]*want) {
	for bit := range all {
		for qos := range all[bit] {
			all[bit][qos] = &want{}
			all[bit][qos].held[bit][qos] = 1
		}
	}
	return all
}()

// watcher is one caller of Router.Interest.
type watcher struct {
	scopes mqtt.Scope
	fn     func(filter string, qos byte, wanted bool)
}

// sum is what the subscribers of some scopes want of one filter.
type sum struct {
	wanted bool
	qos    byte
}

func (w *want) sum(scopes mqtt.Scope) (s sum) {
	for i := range w.held {
		if scopes&(1<<i) == 0 {
			continue
		}
		for qos, n := range w.held[i] {
			if n > 0 {
				s = sum{wanted: true, qos: max(s.qos, byte(qos))}
			}
		}
	}
	return s
}

// change counts a subscription; existed tells that it replaces one of QoS old.
func (in *interest) change(filter string, scope mqtt.Scope, existed bool, old, qos byte) {
	in.update(filter, scope, func(held *[3]int32) {
		if existed {
			held[old]--
		}
		held[qos]++
	})
}

func (in *interest) remove(filter string, scope mqtt.Scope, qos byte) {
	in.update(filter, scope, func(held *[3]int32) { held[qos]-- })
}

// update changes the counts of one filter and scope and tells the watchers for whom that changes something.
func (in *interest) update(filter string, scope mqtt.Scope, fn func(held *[3]int32)) {
	var before want
	if w := in.filters[filter]; w != nil {
		before = *w
	}
	after, bit := before, bitOf(scope)
	fn(&after.held[bit])
	in.put(filter, bit, &after)
	for each := range in.watchers {
		if was, is := before.sum(each.scopes), after.sum(each.scopes); was != is {
			each.fn(filter, is.qos, is.wanted)
		}
	}
}

// put keeps what is wanted of a filter after a change at a scope's bit.
func (in *interest) put(filter string, bit int, w *want) {
	if *w == (want{}) {
		delete(in.filters, filter)
		return
	}
	if in.filters == nil {
		in.filters = map[string]*want{}
	}
	for _, one := range alone[bit] {
		if *w == *one {
			in.filters[filter] = one
			return
		}
	}
	kept := *w
	in.filters[filter] = &kept
}

// watch adds a watcher and tells it what is wanted now.
func (in *interest) watch(scopes mqtt.Scope, fn func(string, byte, bool)) *watcher {
	w := &watcher{scopes: scopes, fn: fn}
	if in.watchers == nil {
		in.watchers = map[*watcher]struct{}{}
	}
	in.watchers[w] = struct{}{}
	for filter, each := range in.filters {
		if s := each.sum(scopes); s.wanted {
			fn(filter, s.qos, true)
		}
	}
	return w
}

func (in *interest) unwatch(w *watcher) { delete(in.watchers, w) }

// bitOf is the position of a scope's bit.
func bitOf(s mqtt.Scope) int {
	for i := range scopeCount {
		if s == 1<<i {
			return i
		}
	}
	panic("BUG: a subscriber's scope is not one bit")
}
