package bridge

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mangrove/bridge/frame"
)

func someCores(n int) (cores []frame.Core) {
	for i := range n {
		cores = append(cores, frame.Core{Name: fmt.Sprintf("core-%d", i), Addr: fmt.Sprintf("127.0.0.1:%d", i), Weight: 1})
	}
	return cores
}

func mustBalance(t *testing.T, name, node string) balance {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	b, err := newBalance(name, node, rng.Uint64N)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// firsts counts who comes first for a thousand edges.
func firsts(t *testing.T, name string, cores []frame.Core) map[string]int {
	counts := map[string]int{}
	for i := range 1000 {
		b := mustBalance(t, "hash", fmt.Sprintf("edge-%d", i))
		if name != "hash" {
			b = balances(t, name)
		}
		counts[inOrder(b, cores)[0].Name]++
	}
	return counts
}

var shared = rand.New(rand.NewPCG(3, 4))

func balances(t *testing.T, name string) balance {
	b, err := newBalance(name, "edge", shared.Uint64N)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBalanceSpreads(t *testing.T) {
	cores := someCores(4)
	for _, name := range []string{"hash", "weighted", "random", "round-robin"} {
		for core, n := range firsts(t, name, cores) {
			if n < 180 || n > 320 {
				t.Errorf("%s: %s is first for %d of 1000 edges, want about 250", name, core, n)
			}
		}
	}
}

func TestBalanceHeedsWeights(t *testing.T) {
	cores := someCores(2)
	cores[0].Weight = 3
	for _, name := range []string{"hash", "weighted"} {
		if n := firsts(t, name, cores)["core-0"]; n < 680 || n > 820 {
			t.Errorf("%s: got %d of 1000, want about 750", name, n)
		}
	}
}

func TestHashMovesOnlyWhoMust(t *testing.T) {
	cores := someCores(5)
	for i := range 200 {
		b := mustBalance(t, "hash", fmt.Sprintf("edge-%d", i))
		all := inOrder(b, cores)
		without := inOrder(b, append(append([]frame.Core(nil), cores[:2]...), cores[3:]...))
		if all[0].Name != "core-2" && without[0] != all[0] {
			t.Fatalf("edge-%d moved from %s to %s because core-2 left", i, all[0].Name, without[0].Name)
		}
		if again := inOrder(b, cores); again[0] != all[0] {
			t.Fatalf("edge-%d: got %s, then %s", i, all[0].Name, again[0].Name)
		}
	}
}

func TestRoundRobinTakesTurns(t *testing.T) {
	b, cores, seen := mustBalance(t, "round-robin", "edge"), someCores(3), map[string]bool{}
	for range 3 {
		seen[inOrder(b, cores)[0].Name] = true
	}
	if len(seen) != 3 {
		t.Errorf("got %v in three turns, want each core once", seen)
	}
}

func TestSuspectsComeLast(t *testing.T) {
	cores := someCores(3)
	cores[0].Suspect, cores[2].Suspect = true, true
	for _, name := range []string{"hash", "weighted", "random", "round-robin"} {
		if got := inOrder(balances(t, name), cores)[0].Name; got != "core-1" {
			t.Errorf("%s: got %s first, want core-1", name, got)
		}
	}
}

func TestUnknownBalance(t *testing.T) {
	if _, err := newBalance("best", "edge", nil); err == nil {
		t.Error("got no error, want one that lists what is allowed")
	}
}
