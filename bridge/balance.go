package bridge

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"

	"mangrove/bridge/frame"
)

// balance ranks cores for one edge: the first is to be tried first. It may change the order of cores in
// place. Not safe for concurrent use.
type balance func(cores []frame.Core)

// newBalance knows hash (the default), weighted, round-robin and random.
//
//   - hash: rendezvous on the edge's name: always the same order while the cores are the same, and when one
//     leaves, only its edges move. Weights count.
//   - weighted: by chance in proportion to the weights, anew each time.
//   - round-robin: by name, one further each time.
//   - random: by chance.
func newBalance(name, node string, random func(n uint64) uint64) (balance, error) {
	switch name {
	case "", "hash":
		return func(cores []frame.Core) {
			sortByScore(cores, func(c frame.Core) float64 { return score(c, unit(hashOf(node, keyOf(c)))) })
		}, nil
	case "weighted":
		return func(cores []frame.Core) {
			sortByScore(cores, func(c frame.Core) float64 { return score(c, unit(random(math.MaxUint64))) })
		}, nil
	case "random":
		return func(cores []frame.Core) {
			sortByScore(cores, func(frame.Core) float64 { return unit(random(math.MaxUint64)) })
		}, nil
	case "round-robin":
		return roundRobin(random), nil
	}
	return nil, fmt.Errorf("balance %q is not known, allowed are hash, weighted, round-robin and random", name)
}

// inOrder ranks cores; suspects come after all others.
func inOrder(rank balance, cores []frame.Core) []frame.Core {
	ranked := slices.Clone(cores)
	rank(ranked)
	slices.SortStableFunc(ranked, func(x, y frame.Core) int {
		switch {
		case x.Suspect == y.Suspect:
			return 0
		case x.Suspect:
			return 1
		}
		return -1
	})
	return ranked
}

// roundRobin starts anywhere, so that edges that start together spread.
func roundRobin(random func(n uint64) uint64) balance {
	turn, started := uint64(0), false
	return func(cores []frame.Core) {
		if len(cores) == 0 {
			return
		}
		if !started {
			turn, started = random(1<<32), true
		}
		slices.SortFunc(cores, func(x, y frame.Core) int { return strings.Compare(keyOf(x), keyOf(y)) })
		first := int(turn % uint64(len(cores)))
		turn++
		copy(cores, append(slices.Clone(cores[first:]), cores[:first]...))
	}
}

// keyOf names a core; seeds have an address only.
func keyOf(c frame.Core) string {
	if c.Name != "" {
		return c.Name
	}
	return c.Addr
}

// score is weighted rendezvous: the chance to have the highest is in proportion to the weight.
func score(c frame.Core, u float64) float64 { return -float64(max(c.Weight, 1)) / math.Log(u) }

// unit maps a hash into 0 < u < 1.
func unit(h uint64) float64 { return (float64(h>>11) + 0.5) / (1 << 53) }

func hashOf(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return frame.Spread(h.Sum64())
}

func sortByScore(cores []frame.Core, score func(frame.Core) float64) {
	scores := make(map[string]float64, len(cores))
	for _, c := range cores {
		scores[keyOf(c)] = score(c)
	}
	slices.SortFunc(cores, func(x, y frame.Core) int { return cmp.Compare(scores[keyOf(y)], scores[keyOf(x)]) })
}
