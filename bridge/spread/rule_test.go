package spread

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func cores(edges ...int) (all []Core) {
	for i, n := range edges {
		all = append(all, Core{Name: fmt.Sprintf("core-%02d", i), Edges: n})
	}
	return all
}

func weighted(edges, weights []int) []Core {
	all := cores(edges...)
	for i, w := range weights {
		all[i].Weight = w
	}
	return all
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		cores []Core
		want  []int
	}{
		{cores(5, 7, 0), []int{4, 4, 4}},
		{cores(4, 4, 4, 0), []int{3, 3, 3, 3}},
		{cores(5, 4, 4), []int{5, 4, 4}},
		{cores(4, 4, 5), []int{4, 4, 5}},
		{cores(10, 10, 10, 5), []int{9, 9, 9, 8}},
		{cores(0, 0), []int{0, 0}},
		{cores(1, 0, 0), []int{1, 0, 0}},
		{weighted([]int{6, 6}, []int{1, 2}), []int{4, 8}},
		{weighted([]int{2, 1, 4, 1, 4}, []int{1, 1, 2, 1, 3}), []int{2, 2, 3, 1, 4}}, // 3 is a whole share
		{weighted([]int{10, 0, 0}, []int{1000, 1, 0}), []int{10, 0, 0}},
	} {
		if got := Targets(c.cores); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.cores, got, c.want)
		}
	}
}

func TestEven(t *testing.T) {
	for _, c := range []struct {
		cores []Core
		want  bool
	}{
		{cores(5, 7, 0), false},
		{cores(5, 4, 3), false}, // 5 is a quarter above 4
		{cores(5, 4, 4), true},  // 4 1/3 each: whole edges come no nearer
		{cores(2, 1, 1), true},
		{cores(2, 2, 0), false},
		{cores(1, 0, 0), true},
		{cores(12, 10, 8), true},
		{cores(121, 100, 79), false},
		{cores(11, 11, 11, 11, 11, 5), false}, // nobody has too many, one too few
		{weighted([]int{4, 8}, []int{1, 2}), true},
		{weighted([]int{6, 6}, []int{1, 2}), false},
		{cores(7), true},
		{nil, true},
	} {
		if got := Even(c.cores, Begin); got != c.want {
			t.Errorf("%v: got %v, want %v", c.cores, got, c.want)
		}
	}
}

// What all cores give makes each have its target: no edge is given twice, whatever the order of the list.
func TestExcessAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(rt, "cores")
		all := weighted(
			rapid.SliceOfN(rapid.IntRange(0, 2000), n, n).Draw(rt, "edges"),
			rapid.SliceOfN(rapid.IntRange(0, 5), n, n).Draw(rt, "weights"))
		has := map[string]int{}
		for i, want := range Targets(all) {
			has[all[i].Name] = want
		}
		shuffled := rapid.Permutation(all).Draw(rt, "order")
		moved := 0
		for _, c := range all {
			has[c.Name] -= c.Edges
			for _, a := range Excess(c.Name, shuffled) {
				if a.Edges <= 0 || a.To == c.Name {
					rt.Fatalf("%s asks %+v", c.Name, a)
				}
				has[c.Name] += a.Edges
				has[a.To] -= a.Edges
				moved += a.Edges
			}
		}
		for name, off := range has {
			if off != 0 {
				rt.Fatalf("%v: %s is off by %d", all, name, off)
			}
		}
		spare := 0
		for i, want := range Targets(all) {
			spare += max(0, all[i].Edges-want)
		}
		if moved != spare {
			rt.Fatalf("%v: %d edges move, want %d", all, moved, spare)
		}
	})
}

func TestRoundAsksAFewAtATime(t *testing.T) {
	v := View{Self: "core-00", Cores: cores(500, 500, 500, 0)}
	r := new(Rule)
	for range Patience - 1 {
		if got := r.Round(v); got != nil || r.Spreading() {
			t.Fatalf("got %v before patience ended, want nothing", got)
		}
	}
	want := []Ask{{"core-03", MaxAsks}}
	if got := r.Round(v); !reflect.DeepEqual(got, want) || !r.Spreading() {
		t.Errorf("got %v, want %v", got, want)
	}
	v.Cores = cores(381, 379, 376, 364)
	if got, want := r.Round(v), []Ask(nil); !reflect.DeepEqual(got, want) || r.Spreading() {
		t.Errorf("within Stop: got %v, want %v", got, want)
	}
	few := View{Self: "core-01", Cores: cores(5, 7, 0)}
	r = &Rule{uneven: Patience}
	if got, want := r.Round(few), []Ask{{"core-02", 1}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestRoundWaits(t *testing.T) {
	even, uneven := cores(4, 4), cores(8, 0)
	for _, c := range []struct {
		name string
		v    View
		left int // rounds of patience that the next ones need
	}{
		{"held", View{Hold: "core-01 is suspected"}, Patience},
		{"asked", View{Asked: 1}, 0},
		{"old counts", View{Old: true}, 0},
		{"even", View{Cores: even}, Patience},
	} {
		r := &Rule{uneven: Patience}
		c.v.Self = "core-00"
		if c.v.Cores == nil {
			c.v.Cores = uneven
		}
		if got := r.Round(c.v); got != nil {
			t.Errorf("%s: got %v, want nothing", c.name, got)
		}
		rounds := 1
		for r.Round(View{Self: "core-00", Cores: uneven}) == nil {
			rounds++
		}
		if want := max(c.left, 1); rounds != want {
			t.Errorf("%s: edges are asked after %d rounds, want %d", c.name, rounds, want)
		}
	}
}

// Who has begun goes on to within Stop; who has not leaves what is within Begin.
func TestBeginAndStopDiffer(t *testing.T) {
	v := View{Self: "core-00", Cores: cores(115, 85)}
	if r := (&Rule{uneven: Patience}); r.Round(v) != nil {
		t.Error("edges are asked within Begin")
	}
	if r := (&Rule{uneven: Patience, spreading: true}); r.Round(v) == nil {
		t.Error("no edge is asked beyond Stop")
	}
	v.Cores = cores(108, 92)
	if r := (&Rule{uneven: Patience, spreading: true}); r.Round(v) != nil || r.Spreading() {
		t.Error("edges are asked within Stop")
	}
}

// fleet is a model of cores that tell each other their counts late, and of edges that take their time to move, or stay.
type fleet struct {
	random *rand.Rand
	cores  []Core // Edges as they are
	rules  []*Rule
	at     []int     // where each edge is
	moves  []move    // edges that were asked and have not answered
	ended  []move    // those that have
	told   [][]count // by core and core: what the first knows of the second
	lag    int       // rounds that a count may take, at most
	stays  int       // edges in ten that do not go when they are asked
	was    [][]int   // by round: what each core had
	asked  int
	most   int // in one round, by one core
}

type move struct{ edge, from, to, due int }

type count struct{ edges, round int }

func newFleet(seed uint64) *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(seed, 0))}
	f.lag, f.stays = f.random.IntN(4), f.random.IntN(5)
	for i := range 2 + f.random.IntN(5) {
		edges := []int{0, 0, 1, 5, 20, 100}[f.random.IntN(6)]
		f.cores = append(f.cores, Core{Name: fmt.Sprintf("core-%d", i), Edges: edges, Weight: 1 + f.random.IntN(3)})
		f.rules = append(f.rules, new(Rule))
		f.at = append(f.at, slices.Repeat([]int{i}, edges)...)
	}
	for range f.cores {
		f.told = append(f.told, make([]count, len(f.cores)))
	}
	return f
}

// round is one round of all cores, in any order.
func (f *fleet) round() {
	now := len(f.was) + 1
	f.arrive(now)
	counts := make([]int, len(f.cores))
	for i := range f.cores {
		counts[i] = f.cores[i].Edges
	}
	f.was = append(f.was, counts)
	for i := range f.cores {
		for j := range f.cores {
			if r := now - f.random.IntN(f.lag+1); i == j {
				f.told[i][j] = count{counts[i], now}
			} else if r >= max(f.told[i][j].round, 1) {
				f.told[i][j] = count{f.was[r-1][j], r}
			}
		}
	}
	for _, i := range f.random.Perm(len(f.cores)) {
		f.send(i, now, f.rules[i].Round(f.view(i)))
	}
}

// arrive ends the moves that are due.
func (f *fleet) arrive(now int) {
	under := f.moves[:0]
	for _, m := range f.moves {
		switch {
		case m.due > now:
			under = append(under, m)
			continue
		case f.random.IntN(10) >= f.stays:
			f.at[m.edge] = m.to
			f.cores[m.from].Edges--
			f.cores[m.to].Edges++
		}
		f.ended = append(f.ended, m)
	}
	f.moves = under
}

// view is what core i knows.
func (f *fleet) view(i int) View {
	v := View{Self: f.cores[i].Name, Cores: slices.Clone(f.cores)}
	for j := range v.Cores {
		v.Cores[j].Edges = f.told[i][j].edges
		if f.told[i][j].round == 0 {
			v.Hold = "not told"
		}
		v.Old = v.Old || slices.ContainsFunc(f.ended, func(m move) bool { return m.from == i && f.told[i][j].round < m.due })
	}
	for _, m := range f.moves {
		if m.from == i {
			v.Asked++
		}
	}
	return v
}

func (f *fleet) send(i, now int, asks []Ask) {
	one := 0
	for _, a := range asks {
		to := slices.IndexFunc(f.cores, func(c Core) bool { return c.Name == a.To })
		for edge, at := range f.at {
			if at == i && a.Edges > 0 && !slices.ContainsFunc(f.moves, func(m move) bool { return m.edge == edge }) {
				f.moves = append(f.moves, move{edge, i, to, now + 1 + f.random.IntN(2)})
				a.Edges--
				one++
			}
		}
	}
	f.asked, f.most = f.asked+one, max(f.most, one)
}

// mustMove is how many edges cannot stay.
func (f *fleet) mustMove() (edges int) {
	for i, want := range Targets(f.cores) {
		edges += max(0, f.cores[i].Edges-want)
	}
	return edges
}

// From any distribution, with counts that come late and edges that stay when they are asked, edges are even within a bounded number of
// rounds. Few more are asked than must move, none where all was even, and none any more when it is.
func TestEdgesSpread(t *testing.T) {
	for seed := range uint64(400) {
		f := newFleet(seed)
		must, even := f.mustMove(), Even(f.cores, Begin)
		within := 60 + must
		for range within {
			f.round()
		}
		asked := f.asked
		switch {
		case !Even(f.cores, Begin):
			t.Fatalf("seed %d, after %d rounds: got %v, want them even: %v", seed, within, f.cores, f.was)
		case even && asked > 0, f.most > MaxAsks:
			t.Fatalf("seed %d: %d edges were asked, %d at once: %v", seed, asked, f.most, f.was)
		case f.stays == 0 && asked > must+must/5+1:
			t.Fatalf("seed %d: %d edges were asked, %d had to move: %v", seed, asked, must, f.was)
		}
		for range 20 {
			f.round()
		}
		if f.asked != asked || len(f.moves) > 0 {
			t.Fatalf("seed %d: %d more edges were asked when all was even: %v", seed, f.asked-asked, f.was)
		}
	}
}
