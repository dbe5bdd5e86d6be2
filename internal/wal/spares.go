package wal

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// zeroChunk is how much is zeroed per write: a page, since some kernels keep what was written at once as one large page in memory,
// and count all of it as written again with each record.
const zeroChunk = 4 << 10

// spares prepares segment files ahead of need: of full size, every block written, so that a record's write changes no
// size and no block map and its fdatasync is one write to the device.
//
//	fresh file, zeroed ─┐
//	emptied segment ────┴▶ "N.spare" ─ header with a new salt ─ rename ▶ "first.log"
//
// An emptied segment needs no zeroing: its records carry another salt.
type spares struct {
	cfg Config

	mu     sync.Mutex
	ready  []*segment // names end in spareSuffix
	serial uint64     // of the last spare's name
	filler sync.WaitGroup
	closed bool
}

// openSpares takes over the spare files of full size that an earlier run left, and removes others.
func openSpares(cfg Config) (*spares, error) {
	p := &spares{cfg: cfg}
	names, err := cfg.Files.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if digits, ok := strings.CutSuffix(name, spareSuffix); ok {
			serial, _ := strconv.ParseUint(digits, 10, 64) // a name that is no number collides with none
			p.serial = max(p.serial, serial)
			if err := p.adopt(name); err != nil {
				return nil, errors.Join(err, p.close())
			}
		}
	}
	return p, nil
}

func (p *spares) adopt(name string) error {
	f, err := p.cfg.Files.Open(name, false)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil || size != p.cfg.SegmentBytes || len(p.ready) >= p.cfg.Spares {
		return errors.Join(err, f.Close(), p.cfg.Files.Remove(name))
	}
	p.ready = append(p.ready, &segment{name: name, file: f, size: size})
	return nil
}

// reserve sees to it that there is a spare segment.
func (p *spares) reserve() error { return p.prepare(1) }

// stock sees to it that there are as many as are prepared ahead.
func (p *spares) stock() error { return p.prepare(readySpares) }

// prepare sees to it that there are n spare segments.
func (p *spares) prepare(n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.closed && len(p.ready) < n {
		s, err := p.prepareLocked(p.cfg.SegmentBytes)
		if err != nil {
			return err
		}
		p.ready = append(p.ready, s)
	}
	return nil
}

// take turns a spare of at least size bytes into the segment that begins with index first, and has others prepared. Unless last is set it
// leaves the last spare alone.
func (p *spares) take(first uint64, size int64, last bool) (*segment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	s, err := p.pickLocked(size, last)
	if err != nil {
		return nil, err
	}
	if err := p.begin(s, first); err != nil {
		return nil, errors.Join(err, s.file.Close(), p.cfg.Files.Remove(s.name))
	}
	if len(p.ready) < readySpares {
		p.filler.Add(1)
		go p.fill() // ends by itself after some files; close waits
	}
	return s, nil
}

func (p *spares) pickLocked(size int64, last bool) (*segment, error) {
	for i, s := range p.ready {
		if s.size >= size && (last || len(p.ready) > 1) {
			p.ready = append(p.ready[:i], p.ready[i+1:]...)
			return s, nil
		}
	}
	return p.prepareLocked(size)
}

// begin writes the header and gives the file its name, in an order in which every crash leaves a spare or a segment.
func (p *spares) begin(s *segment, first uint64) error {
	salt := p.cfg.Salt()
	s.seed, s.first, s.next, s.end, s.offsets = seedOf(salt), first, first, segmentHeader, nil
	if _, err := s.file.WriteAt(appendSegmentHeader(nil, salt, first), 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	name := segmentName(first)
	if err := p.cfg.Files.Rename(s.name, name); err != nil {
		return err
	}
	s.name = name
	return p.syncDir()
}

func (p *spares) syncDir() error {
	if err := p.cfg.Files.SyncDir(); err != nil {
		return fmt.Errorf("%w: %w", ErrSync, err)
	}
	return nil
}

// readySpares is how many spares are prepared ahead: the next segment, and the one that is left alone.
const readySpares = 2

// fill prepares spares while the active segment is written to.
func (p *spares) fill() {
	defer p.filler.Done()
	for p.fillOne() {
	}
}

func (p *spares) fillOne() (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.ready) >= readySpares {
		return false
	}
	s, err := p.prepareLocked(p.cfg.SegmentBytes)
	if err != nil {
		// Not fatal: reserve and take try again when the segment is needed, and report.
		p.cfg.Log.Warn("prepare log segment", "error", err)
		return false
	}
	p.ready = append(p.ready, s)
	return true
}

// prepareLocked makes a file of that size with every block written and stable.
func (p *spares) prepareLocked(size int64) (*segment, error) {
	p.serial++
	name := fmt.Sprintf("%d%s", p.serial, spareSuffix)
	f, err := p.cfg.Files.Open(name, true)
	if err != nil {
		return nil, err
	}
	if err := zero(f, size); err != nil {
		return nil, errors.Join(err, f.Close(), p.cfg.Files.Remove(name))
	}
	return &segment{name: name, file: f, size: size}, nil
}

func zero(f File, size int64) error {
	zeros := make([]byte, min(zeroChunk, size))
	for off := int64(0); off < size; off += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-off)], off); err != nil {
			return err
		}
	}
	return f.Sync()
}

// give takes back a segment whose records nobody needs any more. Its file becomes a spare, or goes when there are enough or when it
// is of an odd size.
func (p *spares) give(s *segment) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	if len(p.ready) >= p.cfg.Spares || s.size != p.cfg.SegmentBytes {
		return errors.Join(s.file.Close(), p.cfg.Files.Remove(s.name), p.syncDir())
	}
	p.serial++
	name := fmt.Sprintf("%d%s", p.serial, spareSuffix)
	if err := p.cfg.Files.Rename(s.name, name); err != nil {
		return err
	}
	s.name, s.offsets = name, nil
	p.ready = append(p.ready, s)
	return p.syncDir()
}

func (p *spares) close() error {
	p.mu.Lock()
	p.closed = true
	ready := p.ready
	p.ready = nil
	p.mu.Unlock()
	p.filler.Wait()
	var err error
	for _, s := range ready {
		err = errors.Join(err, s.file.Close())
	}
	return err
}
