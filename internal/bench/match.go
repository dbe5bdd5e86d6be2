package bench

import (
	"fmt"
	"math/rand/v2"
)

// The topics of match are run/NNN/v, one of matchRooms each, so that what a broker remembers of one topic
// is not all it needs. Each of the first matchTakers clients holds one filter that matches all of them;
// the other filters are as near as can be and match none.
//
//	topic    run/07f/v
//	takers   run/+/v   run/+/+   run/#   +/+/v with the run's word first, … in turn
//	others   run/NNN/other/K   run/+/other/K   run/NNN/other/K/#
const (
	matchTakers  = 10
	matchHolders = 50 // clients that hold the filters that match nothing
	matchRooms   = 4096
	matchRoom    = "000" // of the template
)

// setUpMatch has one publisher, whose messages ten filters match, and as many that do not as make Count.
func (f *flow) setUpMatch() {
	word := fmt.Sprintf("bench-%08x/", f.run)
	for i := range min(matchTakers, f.cfg.Count) {
		s := newSubscriber(f, fmt.Sprintf("s%d", i), word+[]string{"+/v", "+/+", "#"}[i%3])
		s.whole(0, 1)
		f.subs = append(f.subs, s)
	}
	takers := int32(len(f.subs))
	f.holdNear(word, f.cfg.Count-len(f.subs))
	f.pubs = append(f.pubs, newPublisher(f, 0, word+matchRoom+"/v", f.cfg.QoS, false))
	rnd := rand.New(rand.NewPCG(wildSeed, wildSeed))
	f.aim = func(p *publisher, _ uint64) int32 {
		putHex(p.template[p.topicAt+len(word):], rnd.IntN(matchRooms))
		return takers
	}
}

// holdNear adds the holders of n filters that match no topic of match.
func (f *flow) holdNear(word string, n int) {
	if n <= 0 {
		return
	}
	first := len(f.subs)
	for i := range matchHolders {
		f.subs = append(f.subs, newSubscriber(f, fmt.Sprintf("h%d", i)))
	}
	for i := range n {
		room, k := i%matchRooms, i/matchRooms
		filter := fmt.Sprintf([]string{"%03x/other/%d", "+/other/%[2]d-%[1]d", "%03x/other/%d/#"}[i%3], room, k)
		s := f.subs[first+i%matchHolders]
		s.filters = append(s.filters, word+filter)
	}
}

// putHex writes three hexadecimal digits.
func putHex(b []byte, n int) {
	const hex = "0123456789abcdef"
	b[0], b[1], b[2] = hex[n>>8&15], hex[n>>4&15], hex[n&15]
}
