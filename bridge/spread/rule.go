package spread

// Begin and Stop are how far from its share a core may be, in percent, before edges are asked to move, and when that ends. They differ,
// so that one edge that comes or goes does not make another one move.
const (
	Begin = 20
	Stop  = 10
)

// Patience is how many rounds in a row edges must be uneven, with nothing against it, before one is asked: a core that restarts is
// back by then.
const Patience = 3

// MaxAsks bounds how many edges a core asks in one round; it asks a quarter of those that are too many.
const MaxAsks = 10

// View is what a core knows in a round.
type View struct {
	Self  string
	Cores []Core // all there are, Self among them
	Hold  string // why no edge is to be asked; "" = nothing is against it
	Asked int    // edges that were asked and of which it is not known yet what they did
	Old   bool   // a count was told before the last of those edges had moved
}

// Rule is one core's state between rounds. The zero value is ready. Not safe for concurrent use.
//
//	even ─ uneven beyond Begin, for Patience rounds, and this core has too many → spreading ─ even within Stop, or none too many → even
type Rule struct {
	uneven    int // rounds in a row
	spreading bool
}

// Spreading tells that edges were asked to move, and that it is not over.
func (r *Rule) Spreading() bool { return r.spreading }

// Round says which edges are to be asked now.
func (r *Rule) Round(v View) []Ask {
	if v.Hold != "" {
		r.uneven = 0
		return nil
	}
	if v.Asked > 0 || v.Old {
		return nil // what they change is not in the counts yet
	}
	band := int64(Begin)
	if r.spreading {
		band = Stop
	}
	if Even(v.Cores, band) {
		r.uneven, r.spreading = 0, false
		return nil
	}
	asks := Excess(v.Self, v.Cores)
	if len(asks) == 0 {
		r.uneven, r.spreading = r.uneven+1, false
		return nil
	}
	if r.uneven++; r.uneven < Patience {
		return nil
	}
	r.spreading = true
	return some(asks)
}

// some is the part of asks that belongs into one round.
func some(asks []Ask) (now []Ask) {
	all := 0
	for _, a := range asks {
		all += a.Edges
	}
	left := min((all+3)/4, MaxAsks)
	for _, a := range asks {
		if n := min(a.Edges, left); n > 0 {
			now = append(now, Ask{a.To, n})
			left -= n
		}
	}
	return now
}
