package powercut

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// forgetting is a core that is put back to an image, or gets a new disk under its old name, while its edge works on and keeps messages for it. The power of
// the edge goes at a step of its disk somewhere after the image.
func forgetting(s *sum, folder string, seed uint64, cut int, f fault) (done bool, err error) {
	p := newPair(folder, seed, f)
	for _, pub := range p.edge.pubs {
		pub.plain = true
	}
	s.runs++
	defer func() { s.acks, s.cuts = s.acks+p.edge.acks, s.cuts+p.edge.node.boots-1 }()
	if err := errors.Join(p.core.boot(), p.edge.boot()); err != nil {
		return false, err
	}
	var was image
	for round := range 1 + rounds {
		if err := p.together(); err != nil {
			return false, err
		}
		p.line.cut()
		if err := p.core.cut(); err != nil {
			return false, err
		}
		switch {
		case round == 0:
			was = image{p.core.node.disk.Image(), slices.Clone(p.core.node.data)}
			p.edge.node.disk.CutAt(cut)
		case round == 1:
			p.core.node.put(was.disk.Image(), slices.Clone(was.data))
		default:
			p.core.node.put(sim.NewDisk(), nil)
			for _, sub := range p.core.subs {
				sub.anew() // the core knows no session
			}
		}
		if err := p.alone(); err != nil {
			return false, err
		}
		if err := p.core.boot(); err != nil {
			return false, err
		}
	}
	if err := p.together(); err != nil {
		return false, err
	}
	return p.edge.node.boots == 1, errors.Join(p.core.check(), p.edge.check(), p.stop())
}

// together has both act, until everything is where it belongs.
func (p *pair) together() error {
	for step := 0; step < steps || !p.rest(); step++ {
		if err := p.revive(); err != nil {
			return err
		}
		if step < steps {
			p.edge.step()
			p.core.step()
		}
	}
	time.Sleep(time.Minute) // all is on the disk
	return p.revive()
}

// alone has the edge act without its core.
func (p *pair) alone() error {
	for range steps {
		if err := p.revive(); err != nil {
			return err
		}
		p.edge.step()
	}
	return nil
}

// revive brings the edge back if its power went.
func (p *pair) revive() error {
	if !p.edge.gone() {
		return nil
	}
	return p.mend(p.edge)
}

// P1, P2, P3: a core that lost some of its memory, or all, gets what its edge kept for it, once.
func TestCoreThatForgets(t *testing.T) { scenario(forgetting).everySeed(t, 499) }
