package bench

import (
	"fmt"
	"math/rand/v2"
)

// The topics of wild have five levels: the run's word, then four numbers below width, two hexadecimal
// digits each. Filters have five shapes:
//
//	topic      run/03/0a/00/07
//	filters    run/+/b/c/d   run/a/+/c/d   run/a/b/+/d   run/a/b/c/+   run/a/b/c/#
//
// One filter at most of each shape matches a topic, and each client holds filters of one shape only. So
// how many deliveries a message makes is exact with any broker, also with those that deliver once for
// overlapping subscriptions of a client.
const (
	wildShapes  = 5
	wildClients = 12 * wildShapes
	wildSeed    = 5 // the same tree in every run
)

const wildNumbers = "00/00/00/00"

// tree is the filters of a wild run, and who holds them.
type tree struct {
	rnd     *rand.Rand
	width   int
	holders [wildShapes][]int8    // by the three numbers of a filter; client+1, 0 = nobody
	filters [wildClients][]string // without the run's word
}

// newTree draws n filters from the narrowest tree that has as many.
func newTree(n int, rnd *rand.Rand) *tree {
	t := &tree{rnd: rnd, width: 2}
	for wildShapes*t.rests() < n {
		t.width++
	}
	for shape := range t.holders {
		t.holders[shape] = make([]int8, t.rests())
	}
	for i, at := range rnd.Perm(wildShapes * t.rests())[:n] {
		t.hold(at/t.rests(), at%t.rests(), i)
	}
	return t
}

// rests is how many filters of one shape there are.
func (t *tree) rests() int { return t.width * t.width * t.width }

func (t *tree) hold(shape, rest, i int) {
	client := shape + wildShapes*(i%(wildClients/wildShapes))
	t.holders[shape][rest] = int8(client + 1)
	a, b, c := rest/t.width/t.width, rest/t.width%t.width, rest%t.width
	format := [wildShapes]string{"+/%02x/%02x/%02x", "%02x/+/%02x/%02x", "%02x/%02x/+/%02x", "%02x/%02x/%02x/+", "%02x/%02x/%02x/#"}[shape]
	t.filters[client] = append(t.filters[client], fmt.Sprintf(format, a, b, c))
}

// draw writes a random topic's numbers over b and calls each for every client that holds a matching filter.
func (t *tree) draw(b []byte, each func(client int)) {
	const hex = "0123456789abcdef"
	var n [4]int
	for i := range n {
		n[i] = t.rnd.IntN(t.width)
		b[3*i], b[3*i+1] = hex[n[i]>>4], hex[n[i]&15]
	}
	for shape := range t.holders {
		if h := t.holders[shape][t.rest(shape, n)]; h > 0 {
			each(int(h) - 1)
		}
	}
}

// rest is what a filter of shape that matches n has besides its wildcard.
func (t *tree) rest(shape int, n [4]int) (rest int) {
	for i, x := range n {
		if i != min(shape, 3) {
			rest = rest*t.width + x
		}
	}
	return rest
}
