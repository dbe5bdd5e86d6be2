package powercut

import (
	"errors"
	"slices"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// image is a machine's disk as it was once.
type image struct {
	disk *sim.Disk
	data []byte
}

// rounds is how often an image is put back in one run.
const rounds = 2

// imaged is an edge that works on after an image of its disk was taken, and is put back to it when what it took on is with the core. The
// power goes at a step of its disk somewhere in between.
func imaged(s *sum, folder string, seed uint64, cut int, f fault) (done bool, err error) {
	p := newPair(folder, seed, f)
	for _, pub := range p.edge.pubs {
		pub.plain = true // what is retained only in the lost life would be missed
	}
	s.runs++
	defer func() { s.acks, s.cuts = s.acks+p.edge.acks, s.cuts+p.edge.node.boots-2-rounds }()
	if err := errors.Join(p.core.boot(), p.edge.boot()); err != nil {
		return false, err
	}
	var was image
	for round := range 1 + rounds {
		if err := p.work(); err != nil {
			return false, err
		}
		if round == 0 {
			was = image{p.edge.node.disk.Image(), slices.Clone(p.edge.node.data)}
		} else {
			p.edge.node.put(was.disk.Image(), slices.Clone(was.data))
		}
		p.edge.node.disk.CutAt(cut)
		if err := p.edge.boot(); err != nil {
			return false, err
		}
	}
	done = p.edge.node.boots == 2+rounds
	for !p.rest() {
		if err := p.mend(p.edge); err != nil {
			return false, err
		}
	}
	return done, errors.Join(p.core.check(), p.edge.check(), p.stop())
}

// work has the clients act, until the edge has handed on what it took and is stopped in order, everybody gone.
func (p *pair) work() error {
	for step := 0; step < steps || !p.rest(); step++ {
		if p.edge.gone() {
			if err := p.mend(p.edge); err != nil {
				return err
			}
		}
		if step < steps {
			p.edge.step()
			p.core.step()
		}
	}
	for _, pub := range p.edge.pubs {
		pub.disconnect(true)
	}
	time.Sleep(time.Minute) // all is on the disk
	if p.edge.gone() {
		return p.work()
	}
	return errors.Join(p.edge.failed(), p.core.failed(), p.edge.cut())
}

// P1, P2, P3: the edge gives the numbers of its lost life again; the core takes none of the messages for a repeat, and takes none twice.
func TestOldImageIsPutBack(t *testing.T) { scenario(imaged).everySeed(t, 61) }
