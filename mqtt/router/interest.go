package router

import "mangrove/mqtt"

// interest knows, for each filter, who wants it: how the links know what to ask for and to carry. What a filter's only
// subscription wants, as most filters have, is seen in the tree when it is asked for; counts are kept of the others.
// The Router's lock guards it.
type interest struct {
	tree     *tree
	several  map[string]*want // of filters that two subscriptions have, or more
	watchers map[*watcher]struct{}
}

// scopeCount is the number of bits in mqtt.Scope.
const scopeCount = 5

// want holds the number of subscriptions under one filter by scope and QoS.
type want struct{ held [scopeCount][3]int32 }

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

// add counts a subscription in the tree; a group stands for its members.
func (w *want) add(s mqtt.Subscriber, t terms) {
	g, shared := s.(*group)
	if !shared {
		w.held[bitOf(s.Scope())][t.qos]++
		return
	}
	for _, m := range g.all() {
		w.held[bitOf(m.Subscriber.Scope())][m.Subscription.QoS]++
	}
}

// many tells that it is what two subscriptions want, or more.
func (w *want) many() bool {
	n := int32(0)
	for i := range w.held {
		for _, held := range w.held[i] {
			n += held
		}
	}
	return n > 1
}

// of returns what is wanted of a filter.
func (in *interest) of(filter string) (w want) {
	if kept := in.several[filter]; kept != nil {
		return *kept
	}
	in.tree.Under(filter, w.add)
	return w
}

// change follows a subscription that the tree or a group has taken. before is what was wanted of the filter until
// then; existed tells that it replaces one of QoS old.
func (in *interest) change(filter string, before want, scope mqtt.Scope, existed bool, old, qos byte) {
	after := before
	held := &after.held[bitOf(scope)]
	if existed {
		held[old]--
	}
	held[qos]++
	in.update(filter, &before, &after)
}

// remove follows a subscription that has gone. Without a count it was the only one.
func (in *interest) remove(filter string, scope mqtt.Scope, qos byte) {
	var before want
	before.held[bitOf(scope)][qos] = 1
	if kept := in.several[filter]; kept != nil {
		before = *kept
	}
	after := before
	after.held[bitOf(scope)][qos]--
	in.update(filter, &before, &after)
}

// update keeps what is wanted of a filter now and tells the watchers for whom that changes something.
func (in *interest) update(filter string, before, after *want) {
	in.keep(filter, after)
	for each := range in.watchers {
		if was, is := before.sum(each.scopes), after.sum(each.scopes); was != is {
			each.fn(filter, is.qos, is.wanted)
		}
	}
}

func (in *interest) keep(filter string, w *want) {
	kept := in.several[filter]
	switch {
	case !w.many():
		delete(in.several, filter)
	case kept != nil:
		*kept = *w
	default:
		if in.several == nil {
			in.several = map[string]*want{}
		}
		first := *w
		in.several[filter] = &first
	}
}

// watch adds a watcher and tells it what is wanted now.
func (in *interest) watch(scopes mqtt.Scope, fn func(string, byte, bool)) *watcher {
	w := &watcher{scopes: scopes, fn: fn}
	if in.watchers == nil {
		in.watchers = map[*watcher]struct{}{}
	}
	in.watchers[w] = struct{}{}
	for filter, each := range in.several {
		w.tell(filter, each)
	}
	in.tree.All(func(filter string, s mqtt.Subscriber, t terms) {
		if in.several[filter] == nil {
			var alone want
			alone.add(s, t)
			w.tell(filter, &alone)
		}
	})
	return w
}

// tell tells a new watcher of one filter.
func (w *watcher) tell(filter string, of *want) {
	if s := of.sum(w.scopes); s.wanted {
		w.fn(filter, s.qos, true)
	}
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
