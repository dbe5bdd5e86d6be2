package powercut

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
)

// long asks for every step instead of a sample: `make test-faults` sets it.
var long = os.Getenv("MANGROVE_FAULTS") == "long"

// steps is how often clients act in one life.
const steps = 150

// sum is what some runs came to.
type sum struct{ runs, cuts, acks int }

// scenario is a run with a power cut at a step of a disk; done tells that the step came after the end.
type scenario func(s *sum, folder string, seed uint64, cut int, f fault) (done bool, err error)

// alone is the lives of one node: the power goes at step cut of its disk, and then perhaps at others; in the end everything settles.
func alone(s *sum, folder string, seed uint64, cut int, f fault) (done bool, err error) {
	w := newWorld(folder, seed, f)
	w.populate(4)
	w.listen(newSubscriber(w, "steady-1", 1, false, "t/#", "w/#", "r/p0"), newSubscriber(w, "steady-2", 2, false, "t/+", "w/+"),
		newSubscriber(w, "restless-1", 1, true, "r/#", "t/0"), newSubscriber(w, "restless-2", 2, true, "t/#", "r/+", "+/p1"))
	w.visit(2)
	w.node.disk.CutAt(cut)
	s.runs++
	defer func() { s.acks, s.cuts = s.acks+w.acks, s.cuts+w.node.boots-1 }()
	for {
		if err := w.boot(); err != nil {
			return false, err
		}
		w.live(steps)
		if !w.gone() {
			w.settle()
		}
		if !w.gone() {
			return w.node.boots == 1, errors.Join(w.check(), w.node.stop())
		}
		if err := w.cut(); err != nil {
			return false, err
		}
		if w.rng.IntN(2) == 0 { // soon again, perhaps while the node starts
			w.node.disk.CutAt(1 + w.rng.IntN(60))
		}
	}
}

// cutEverywhere runs with a cut at every stride-th step in turn, until one comes after the end, and tells the first promise broken.
func (run scenario) cutEverywhere(t *testing.T, seed uint64, stride int, f fault) (s sum, err error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // so that a run can nearly be repeated
	for cut, done := 1, false; !done; cut += stride {
		folder, remove := memoryFolder(t)
		synctest.Test(t, func(*testing.T) { done, err = run(&s, folder, seed, cut, f) })
		remove()
		if err != nil {
			return s, fmt.Errorf("MANGROVE_SEED=%d, cut at step %d: %w", seed, cut, err)
		}
	}
	return s, nil
}

// memoryFolder is a folder in memory where there is one: what the real disk does with the database is no part of the test.
func memoryFolder(t *testing.T) (dir string, remove func()) {
	dir, err := os.MkdirTemp("/dev/shm", "mangrove-powercut-")
	if err != nil {
		dir, err = os.MkdirTemp("", "mangrove-powercut-")
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
}

// seeds are those of the short form, or of the long one, or the one to be repeated.
func seeds(t *testing.T) []uint64 {
	if text := os.Getenv("MANGROVE_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MANGROVE_SEED: %v", err)
		}
		return []uint64{seed}
	}
	return []uint64{1, 2, rand.Uint64N(1 << 32)}
}

// P1, P2, P3: whatever the moment at which the power goes.
func TestPowerCut(t *testing.T) {
	scenario(alone).everySeed(t, 23)
}

// everySeed cuts at a sample of the steps, or at each of them.
func (run scenario) everySeed(t *testing.T, stride int) {
	if long || os.Getenv("MANGROVE_SEED") != "" {
		stride = 1
	}
	for _, seed := range seeds(t) {
		s, err := run.cutEverywhere(t, seed, stride, fault{})
		if err != nil {
			t.Error(err)
		}
		t.Logf("seed %d: %d runs, %d power cuts, %d publishes acknowledged", seed, s.runs, s.cuts, s.acks)
	}
}

// The checks can fail: a node that does one thing wrong is found out.
func TestPowerCutFindsFaults(t *testing.T) {
	for _, c := range []struct {
		wrong string
		run   scenario
		fault fault
		want  string // in what is told
	}{
		{"records of the log are not synced", alone, fault{unsynced: true}, "data file is damaged"},
		{"PUBACK does not wait for the disk", alone, fault{early: true}, "which was acknowledged"},
		{"QoS 2 identifiers are not remembered", alone, fault{forgetful: true}, "QoS 2) 2 times"},
		{"PUBACK does not wait for the uplink's queue", linked, fault{early: true}, "which was acknowledged"},
	} {
		t.Run(c.wrong, func(t *testing.T) {
			for seed := uint64(1); seed <= 5; seed++ {
				_, err := c.run.cutEverywhere(t, seed, 7, c.fault)
				t.Log(err)
				if err != nil && strings.Contains(err.Error(), c.want) {
					return
				}
			}
			t.Errorf("got no error with %q in 5 seeds", c.want)
		})
	}
}
