package reconcile

// Talk is one side of a conversation about two Sets. The sides speak in turns: who has taken what the other said answers, until both
// have said nothing. Not safe for concurrent use.
//
//	starter: Start ─ Say ─→ other: Take ─ Say ─→ starter: Take ─ Say ─→ …   until Over, which either asks after Take and after Say
type Talk struct {
	set   *Set
	room  func() int // how many more messages this node may take; nil = any number
	out   []saying   // still to be said
	quiet bool       // the last that was said was nothing
	alone bool       // the last that was taken was nothing
	over  bool
}

// saying is a Part that is still to be said. Of Some it may hold members of the Set instead of Items: a node that lost everything lacks a
// lot.
type saying struct {
	Part
	from, to int
}

// leaf is the number of messages below which a range is listed instead of split.
const leaf = 16

// maxOut bounds what waits to be said. What is more is left to the next conversation.
const maxOut = 1 << 16

// NewTalk begins a conversation. room is asked before anything is wanted.
func NewTalk(set *Set, room func() int) *Talk { return &Talk{set: set, room: room} }

// Start is called by who speaks first, before Say.
func (t *Talk) Start() { t.say(t.set.summed(Range{})) }

// Take takes what the other side said. send are the keys of the topics that it wants, mine those that its own clients publish to.
func (t *Talk) Take(in []Part) (send, mine []uint64) {
	for i := range in {
		p := &in[i]
		switch p.Kind {
		case Sum:
			t.compare(p)
		case Whole:
			t.align(p)
			mine = appendMine(mine, p.Items)
		case Some:
			t.update(p)
			mine = appendMine(mine, p.Items)
		case Want:
			send = append(send, p.Keys...)
		}
	}
	t.alone = len(in) == 0
	t.over = t.alone && t.quiet && len(t.out) == 0
	return send, mine
}

// Over reports that both sides have said everything: nothing more is to be said or taken.
func (t *Talk) Over() bool { return t.over }

// Say is the next thing to say, of about room bytes. It may be nothing.
func (t *Talk) Say(room int) (parts []Part) {
	for len(t.out) > 0 && room > 0 {
		last := len(t.out) - 1 // the last first: what waits stays short
		p, more := t.cut(&t.out[last], room)
		if !more {
			t.out = t.out[:last]
		}
		parts = append(parts, p)
		room -= p.size()
	}
	t.quiet = len(parts) == 0
	t.over = t.quiet && t.alone
	return parts
}

// cut takes a Part of about room bytes off s. more = something is left.
func (t *Talk) cut(s *saying, room int) (p Part, more bool) {
	p = s.Part
	items, keys := max((room-headBytes)/ItemBytes, 1), max((room-headBytes)/KeyBytes, 1)
	switch {
	case s.from < s.to:
		n := min(items, s.to-s.from)
		p.Items = t.set.list(s.from, s.from+n)
		s.from += n
		return p, s.from < s.to
	case p.Kind == Some && len(p.Items) > items:
		s.Items, p.Items = p.Items[items:], p.Items[:items]
		return p, true
	case len(p.Keys) > keys:
		s.Keys, p.Keys = p.Keys[keys:], p.Keys[:keys]
		return p, true
	}
	return p, false
}

func (t *Talk) say(p Part) { t.put(saying{Part: p}) }

// sayMembers says Some of the Set's members[from:to].
func (t *Talk) sayMembers(from, to int) {
	if from < to {
		t.put(saying{Part: Part{Kind: Some}, from: from, to: to})
	}
}

func (t *Talk) put(s saying) {
	if len(t.out) < maxOut {
		t.out = append(t.out, s)
	}
}

// compare answers a Sum: nothing when it is right, else a list of the range, or the sums of its parts.
func (t *Talk) compare(p *Part) {
	own := t.set.summed(p.Range)
	from, to := t.set.within(p.Range)
	switch {
	case own.Count == p.Count && own.Sum == p.Sum:
	case own.Count <= leaf || p.Range.Bits+splitBits > MaxBits:
		t.say(Part{Kind: Whole, Range: p.Range, Items: t.set.list(from, to)})
	case p.Count == 0:
		t.sayMembers(from, to)
	default:
		for _, r := range p.Range.split() {
			t.say(t.set.summed(r))
		}
	}
}

// align answers all that the other side has in a range with what is newer here or missing there, and with what is wanted.
func (t *Talk) align(p *Part) {
	at, to := t.set.within(p.Range)
	theirs := newAnswer(t)
	for i := range p.Items {
		it, missing := &p.Items[i], at
		for at < to && t.set.item(at).Key < it.Key {
			at++
		}
		t.sayMembers(missing, at)
		theirs.both(it, t.set.index.find(it.Key))
		if at < to && t.set.item(at).Key == it.Key {
			at++
		}
	}
	t.sayMembers(at, to)
	theirs.say()
}

// update answers news with what is newer still, and with what is wanted.
func (t *Talk) update(p *Part) {
	theirs := newAnswer(t)
	for i := range p.Items {
		it := &p.Items[i]
		own := t.set.index.find(it.Key)
		if own != nil && own.Stamp == it.Stamp && !own.same(it) && !own.Gone {
			theirs.wants(it) // the other side knows ours, and wants it already
		} else {
			theirs.both(it, own)
		}
	}
	theirs.say()
}

// answer gathers what is to be said to a list.
type answer struct {
	t      *Talk
	newer  []Item
	wanted []uint64
	room   int
}

func newAnswer(t *Talk) *answer {
	a := &answer{t: t, room: 1 << 30}
	if t.room != nil {
		a.room = t.room()
	}
	return a
}

// both settles a topic that the other side tells of; own = nil when there is nothing here.
func (a *answer) both(theirs, own *Item) {
	switch {
	case own == nil:
		if !theirs.cleared() {
			a.wants(theirs)
		}
	case own.same(theirs), own.Gone && theirs.Gone:
	case own.Stamp > theirs.Stamp:
		a.newer = append(a.newer, *own)
	case own.Stamp == theirs.Stamp: // who wins is known when both messages are at hand
		a.newer = append(a.newer, *own)
		a.wants(theirs)
	default:
		a.wants(theirs)
	}
}

func (a *answer) wants(theirs *Item) {
	if a.room > 0 || theirs.Gone {
		a.room--
		a.wanted = append(a.wanted, theirs.Key)
	}
}

func (a *answer) say() {
	if len(a.newer) > 0 {
		a.t.say(Part{Kind: Some, Items: a.newer})
	}
	if len(a.wanted) > 0 {
		a.t.say(Part{Kind: Want, Keys: a.wanted})
	}
}

func appendMine(mine []uint64, items []Item) []uint64 {
	for i := range items {
		if items[i].Mine && !items[i].Gone {
			mine = append(mine, items[i].Key)
		}
	}
	return mine
}
