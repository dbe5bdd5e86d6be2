package reconcile

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// origin stands for mqtt.Origin.
type origin struct{ store, seq uint64 }

// change is what a node of a test holds of a topic: a message or a clearing.
type change struct {
	stamp  uint64
	origin origin
	gone   bool
}

func (c change) newer(o change) bool {
	if c.stamp != o.stamp {
		return c.stamp > o.stamp
	}
	if c.origin.store != o.origin.store {
		return c.origin.store > o.origin.store
	}
	return c.origin.seq > o.origin.seq
}

// holding is a node of a test: what it holds by topic.
type holding map[string]change

func (h holding) index() *Index {
	var items []Item
	for topic, c := range h {
		items = append(items, Item{Key: KeyOf(topic), Stamp: c.stamp, Tie: TieOf(c.origin.store, c.origin.seq), Gone: c.gone, Mine: true, Topic: topic})
	}
	return NewIndex(items)
}

func (h holding) put(topic string, c change) {
	if had, ok := h[topic]; !ok || c.newer(had) {
		h[topic] = c
	}
}

// messages are those of h that are no clearings.
func (h holding) messages() holding {
	m := holding{}
	for topic, c := range h {
		if !c.gone {
			m[topic] = c
		}
	}
	return m
}

// converse lets a and b talk until both are over, and send each other what they want. It returns what they said.
func converse(t interface{ Fatalf(string, ...any) }, a, b holding, room int) (turns, parts, sent int) {
	return converseAbout(t, a, b, room, [2]func(*Index) *Set{(*Index).All, (*Index).All})
}

// converseAbout is converse about parts of what is held.
func converseAbout(t interface{ Fatalf(string, ...any) }, a, b holding, room int, sets [2]func(*Index) *Set) (turns, parts, sent int) {
	type side struct {
		talk  *Talk
		own   holding
		index *Index
	}
	sides := [2]side{}
	for i, h := range []holding{a, b} {
		x := h.index()
		sides[i] = side{NewTalk(sets[i](x), nil), h, x}
	}
	sides[0].talk.Start()
	for ; ; turns++ {
		me, you := sides[turns%2], sides[(turns+1)%2]
		said := me.talk.Say(room)
		parts += len(said)
		send, mine := you.talk.Take(said)
		for _, key := range mine {
			if key == 0 {
				t.Fatalf("a key of 0")
			}
		}
		for _, key := range send {
			topic := you.index.Topic(key)
			if topic == "" {
				t.Fatalf("a topic is wanted that is not held")
			}
			me.own.put(topic, you.own[topic])
			sent++
		}
		if me.talk.Over() && you.talk.Over() {
			return turns + 1, parts, sent
		}
		if turns > 100_000 {
			t.Fatalf("no end after %d turns", turns)
		}
	}
}

func some(n, from int) holding {
	h := holding{}
	for i := range n {
		h[fmt.Sprint("topic/", i)] = change{stamp: uint64(from + i), origin: origin{store: 1, seq: uint64(i)}}
	}
	return h
}

func TestThoseWhoAgreeSayLittle(t *testing.T) {
	turns, parts, sent := converse(t, some(10_000, 5), some(10_000, 5), 4096)
	if turns != 3 || parts != 1 || sent != 0 {
		t.Errorf("got %d turns, %d parts, %d sent, want 3, 1, 0", turns, parts, sent)
	}
}

// One topic of many differs: what is said grows with the logarithm.
func TestOneDifference(t *testing.T) {
	a, b := some(10_000, 5), some(10_000, 5)
	a["topic/77"] = change{stamp: 1 << 40}
	turns, parts, sent := converse(t, a, b, 4096)
	if !maps.Equal(a, b) || sent != 1 || turns > 9 || parts > 60 {
		t.Errorf("got %d turns, %d parts, %d sent, equal %v", turns, parts, sent, maps.Equal(a, b))
	}
}

// A node that has lost everything gets everything, and never more at once than the frames take.
func TestAllIsMissing(t *testing.T) {
	a, b := some(3000, 5), holding{}
	turns, _, sent := converse(t, b, a, 1024)
	if !maps.Equal(a, b) || sent != 3000 || turns < 2*3000*ItemBytes/1024 {
		t.Errorf("got %d turns, %d sent, equal %v", turns, sent, maps.Equal(a, b))
	}
}

// What an edge's clients published before there were versions, and was cleared elsewhere since, does not come back.
func TestUndatedStaysWhereItIs(t *testing.T) {
	kept, cleared := change{stamp: Undated, origin: origin{1, 1}}, change{stamp: Undated, origin: origin{1, 2}}
	for _, core := range []holding{{"kept": kept}, {}} { // is told a list, is told all
		edge := holding{"kept": kept, "cleared": cleared}
		for i, sides := range [][2]holding{{edge, core}, {core, edge}} {
			if _, _, sent := converse(t, sides[0], sides[1], 4096); sent != 0 {
				t.Errorf("a core that holds %d, %d begins: got %d sent, want none", len(core), i, sent)
			}
		}
	}
}

// A node wants no more than it has room for.
func TestRoom(t *testing.T) {
	have, small := NewTalk(some(100, 5).index().All(), nil), NewTalk(NewIndex(nil).All(), func() int { return 7 })
	have.Start()
	wanted := 0
	for range 100 {
		small.Take(have.Say(1 << 16))
		send, _ := have.Take(small.Say(1 << 16))
		wanted += len(send)
	}
	if wanted != 7 || !small.Over() {
		t.Errorf("got %d wanted, over %v, want 7 and true", wanted, small.Over())
	}
}

// Whatever two nodes hold, they hold the same messages afterwards: of each topic the newest of both, none where that is a clearing. What is
// cleared at one and unknown to the other is not told.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		drawn := func(name string) holding {
			h := holding{}
			for range rapid.IntRange(0, 60).Draw(rt, name) {
				h[fmt.Sprint("t/", rapid.IntRange(0, 80).Draw(rt, "topic"))] = change{
					stamp:  rapid.Uint64Range(Undated+1, 6).Draw(rt, "stamp"),
					origin: origin{store: rapid.Uint64Range(1, 2).Draw(rt, "store"), seq: rapid.Uint64Range(1, 3).Draw(rt, "seq")},
				}
			}
			return h
		}
		a, b := drawn("a"), drawn("b")
		for _, h := range []holding{a, b} { // of one version there is one message or clearing
			for topic, c := range h {
				c.gone = (c.stamp+c.origin.store+c.origin.seq+uint64(len(topic)))%3 == 0
				h[topic] = c
			}
		}
		want := holding{}
		for _, h := range []holding{a, b} {
			for topic, c := range h {
				want.put(topic, c)
			}
		}
		_, _, sent := converse(rt, a, b, rapid.IntRange(1, 2000).Draw(rt, "room"))
		for name, h := range map[string]holding{"a": a, "b": b} {
			if got := h.messages(); !maps.Equal(got, want.messages()) {
				rt.Fatalf("%s holds %v, want %v", name, got, want.messages())
			}
		}
		if _, _, again := converse(rt, a, b, 1000); again != 0 {
			rt.Fatalf("%d sent, then %d more", sent, again)
		}
	})
}

// Who does not know what concerns the other side, sends and fetches nothing that both have, and hears of what concerns it.
func TestTopicsOfTheOtherSide(t *testing.T) {
	a, b := some(500, 5), some(10_000, 5)
	b["topic/7"], b["topic/8"] = change{stamp: 1 << 40}, change{stamp: 1 << 40, gone: true}
	_, _, sent := converseAbout(t, a, b, 4096, [2]func(*Index) *Set{(*Index).All, func(x *Index) *Set { return x.Some(nil) }})
	if sent != 2 || a["topic/7"].stamp != 1<<40 || !a["topic/8"].gone || len(a) != 500 {
		t.Errorf("got %d sent, %v, %v, %d held, want 2, the newer ones, and no others", sent, a["topic/7"], a["topic/8"], len(a))
	}
	known := func(x *Index) *Set {
		var keys []uint64
		for topic := range a {
			keys = append(keys, KeyOf(topic), KeyOf(topic))
		}
		return x.Some(append(keys, KeyOf("nowhere")))
	}
	if turns, _, _ := converseAbout(t, a, b, 4096, [2]func(*Index) *Set{(*Index).All, known}); turns != 3 {
		t.Errorf("got %d turns of those who agree, want 3", turns)
	}
}

func TestRanges(t *testing.T) {
	all := Range{}
	parts := all.split()
	for i, r := range parts {
		if !r.Valid() || i > 0 && parts[i-1].last()+1 != r.Prefix {
			t.Errorf("part %d is %x/%d, valid %v", i, r.Prefix, r.Bits, r.Valid())
		}
	}
	if parts[15].last() != ^uint64(0) || all.last() != ^uint64(0) {
		t.Errorf("the last key is %x, %x", parts[15].last(), all.last())
	}
	for _, bad := range []Range{{Bits: 61}, {Prefix: 1}, {Prefix: 1 << 59, Bits: 4}} {
		if bad.Valid() {
			t.Errorf("%x/%d is valid", bad.Prefix, bad.Bits)
		}
	}
	keys := []uint64{KeyOf("a"), KeyOf("b"), KeyOf("c")}
	slices.Sort(keys)
	if len(slices.Compact(keys)) != 3 {
		t.Error("keys of different topics are the same")
	}
}
