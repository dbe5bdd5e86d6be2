package powercut

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"mangrove/bridge"
)

// pair is an edge with publishers and a core with subscribers. What the edge acknowledges is in its queue, or at the core.
type pair struct {
	*line
	edge, core *world
	early      time.Duration // how long the edge waits for the core's acknowledgement before it writes; 0 = it writes at once
}

func newPair(folder string, seed uint64, f fault) *pair {
	p := &pair{edge: newWorld(filepath.Join(folder, "edge"), seed, f), core: newWorld(filepath.Join(folder, "core"), seed+1, f)}
	if seed%4 < 2 {
		p.early = 20 * time.Millisecond
	}
	p.core.rng = rand.New(rand.NewPCG(seed, 3))
	p.line = &line{edge: p.edge.node, core: p.core.node}
	p.edge.node.meet = func() (*bridge.Bridge, error) { return p.meet(p.edge.node, bridge.RoleEdge) }
	p.core.node.meet = func() (*bridge.Bridge, error) { return p.meet(p.core.node, bridge.RoleCore) }
	p.edge.node.seeds = []string{"core:1883"}
	p.edge.populate(3)
	p.core.messages = p.edge.messages
	p.core.listen(newSubscriber(p.core, "steady-1", 1, false, "t/#", "w/#"), newSubscriber(p.core, "steady-2", 2, false, "t/+", "w/+"))
	p.edge.audience = p.core.subs
	return p
}

func (p *pair) meet(m *machine, role bridge.Role) (*bridge.Bridge, error) {
	return bridge.New(bridge.Config{Node: string(role), Role: role, Store: m.store, Router: m.router, Retained: m.retained, Dial: p.dial,
		EarlyPatience: p.early})
}

// mend brings a machine back whose power went.
func (p *pair) mend(w *world) error {
	p.line.cut()
	if err := w.cut(); err != nil {
		return err
	}
	return w.boot()
}

// linked is the lives of an edge and a core; whose power goes, the seed says.
func linked(s *sum, folder string, seed uint64, cut int, f fault) (done bool, err error) {
	p := newPair(folder, seed, f)
	s.runs++
	defer func() { s.acks, s.cuts = s.acks+p.edge.acks, s.cuts+p.edge.node.boots+p.core.node.boots-2 }()
	victim := []*world{p.core, p.edge}[seed%2]
	victim.node.disk.CutAt(cut)
	if err := errors.Join(p.core.boot(), p.edge.boot()); err != nil {
		return false, err
	}
	for step := 0; step < 2*steps || !p.rest(); step++ {
		for _, w := range []*world{p.edge, p.core} {
			if w.gone() {
				if err := p.mend(w); err != nil {
					return false, err
				}
				if w.rng.IntN(2) == 0 && step < 2*steps {
					w.node.disk.CutAt(1 + w.rng.IntN(60))
				}
			}
			if step < 2*steps && w.failed() == nil {
				w.step()
			}
		}
	}
	done = p.edge.node.boots+p.core.node.boots == 2
	return done, errors.Join(p.core.check(), p.edge.check(), p.stop())
}

// rest settles both; false = the power went.
func (p *pair) rest() bool {
	for range 3 { // what the edge settles comes to the core
		p.edge.settle()
		p.core.settle()
	}
	return !p.edge.gone() && !p.core.gone()
}

func (p *pair) stop() error {
	err := p.edge.node.stop()
	p.line.cut()
	return errors.Join(err, p.core.node.stop())
}

// P1, P2, P3 over a link, whichever end loses its power.
func TestPowerCutUplink(t *testing.T) { scenario(linked).everySeed(t, 47) }
