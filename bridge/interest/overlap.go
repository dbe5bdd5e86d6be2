package interest

import "strings"

// overlap tells whether some topic matches both filters.
func overlap(a, b string) bool {
	x, y := strings.Split(a, "/"), strings.Split(b, "/")
	for i := 0; ; i++ {
		switch endX, endY := i == len(x), i == len(y); {
		case endX && endY:
			return true
		case endX:
			return y[i] == "#"
		case endY:
			return x[i] == "#"
		case x[i] == "#" || y[i] == "#":
			return true
		case x[i] != "+" && y[i] != "+" && x[i] != y[i]:
			return false
		}
	}
}

// maxRivals bounds the filters that are compared with each other; of more none is given an identifier, and a
// broker's further copies of a message come in.
const maxRivals = 1000

// Rivals finds the filters of a cover that overlap with another of them.
func Rivals(filters map[string]byte) map[string]bool {
	var wild []string // without wildcards there is no overlap, else one would contain the other
	for f := range filters {
		if strings.ContainsAny(f, "+#") {
			wild = append(wild, f)
		}
	}
	found := map[string]bool{}
	if len(wild) > maxRivals {
		return found
	}
	for i, a := range wild {
		for _, b := range wild[:i] {
			if overlap(a, b) {
				found[a], found[b] = true, true
			}
		}
	}
	return found
}
