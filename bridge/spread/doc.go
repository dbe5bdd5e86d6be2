// Package spread says how many of a core's edges are to move to which other cores, so that each core has its share of them.
//
//	what each core has told ─→ Round ─→ how many to ask, to go where ─→ package bridge picks the edges and asks them
//
// Every core applies the same rule to the same counts, and so knows what the others will do without asking them. The rule has no clock,
// no goroutine and no randomness: its caller looks at fixed intervals, and a look is a round.
package spread
