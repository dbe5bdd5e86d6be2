package spread

import (
	"cmp"
	"slices"
)

// Core is what is known of one core.
type Core struct {
	Name   string
	Edges  int // that are attached to it
	Weight int // its share in proportion to the others' weights; < 1 counts as 1
}

func (c *Core) weight() int64 { return int64(max(c.Weight, 1)) }

// Targets says how many edges each core is to have, in the order of cores: its share, rounded so that as few edges as
// possible move and that every core which knows the same counts finds the same.
func Targets(cores []Core) []int {
	edges, weights := totals(cores)
	targets, left := make([]int, len(cores)), int(edges)
	order := make([]int, len(cores))
	for i := range cores {
		targets[i] = int(edges * cores[i].weight() / weights)
		left -= targets[i]
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { // who is rounded up first
		x, y := &cores[i], &cores[j]
		xPart, yPart := edges*x.weight()%weights, edges*y.weight()%weights
		return cmp.Or(
			compareBool(yPart > 0, xPart > 0),
			compareBool(y.Edges > targets[j], x.Edges > targets[i]),
			cmp.Compare(yPart, xPart),
			cmp.Compare(x.Name, y.Name),
		)
	})
	for _, i := range order[:left] {
		targets[i]++
	}
	return targets
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

func totals(cores []Core) (edges, weights int64) {
	for i := range cores {
		edges += int64(cores[i].Edges)
		weights += cores[i].weight()
	}
	return edges, weights
}

// Even tells whether each core is within percent of its share, or as near to it as whole edges can be.
func Even(cores []Core, percent int64) bool {
	edges, weights := totals(cores)
	for i := range cores {
		has, share := int64(cores[i].Edges), edges*cores[i].weight() // share is weights times as much
		above := has*weights*100 > share*(100+percent) && has > (share+weights-1)/weights
		below := has*weights*100 < share*(100-percent) && has < share/weights
		if above || below {
			return false
		}
	}
	return true
}

// Ask is how many edges are to be asked to go to a core.
type Ask struct {
	To    string
	Edges int
}

// Excess says where the edges go that the core self has above its target. What all cores give and get adds up: each has a part of
// its own in what is wanted.
func Excess(self string, cores []Core) (asks []Ask) {
	cores = slices.SortedFunc(slices.Values(cores), func(x, y Core) int { return cmp.Compare(x.Name, y.Name) })
	targets := Targets(cores)
	to := 0
	for i := range cores {
		for give := cores[i].Edges - targets[i]; give > 0; {
			for targets[to] <= cores[to].Edges {
				to++
			}
			n := min(give, targets[to]-cores[to].Edges)
			if cores[i].Name == self {
				asks = append(asks, Ask{cores[to].Name, n})
			}
			give -= n
			targets[to] -= n
		}
	}
	return asks
}
