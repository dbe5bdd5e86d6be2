package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// clock is the time in which deadlines are stored. It is Unix milliseconds as long as the wall clock is right, and does not follow it
// where it jumps:
//
//	store open    it goes on with the monotonic clock
//	store closed  it went on by what the wall clock shows to have passed; when that shows nothing, it stood still
//
// A gateway without a battery starts in 1970, or where it stopped, and jumps when a time server answers. Neither is time that
// has passed: nothing stored may expire by it, nor live until 1970 has become today.
type clock struct {
	path  string
	now   func() time.Time // steady: differences of its times do not jump
	wall  func() time.Time // nil = that of now
	begin time.Time        // of now, a whole millisecond
	base  int64            // the stored time at begin

	mu    sync.Mutex
	saved mark
	stop  chan struct{}
	done  chan struct{}
}

// mark is the stored time and the wall clock's at one moment, both in Unix milliseconds.
type mark struct{ time, wall int64 }

const (
	clockLook  = time.Minute      // how often it is looked whether the mark is to be written
	clockEvery = 10 * time.Minute // what a crash may lose of the time since the start, when the wall clock does not tell it
	clockSlack = 2 * time.Second  // a jump of the wall clock above it is written at once
)

// unset is the Unix time in milliseconds, 2025-01-01, before which a wall clock has not been set. Such times say nothing about others.
const unset = 1735689600000

// resume is the stored time now that the wall clock shows wall.
func (m mark) resume(wall int64) int64 {
	if (m.wall < unset) != (wall < unset) {
		return m.time
	}
	return m.time + max(0, wall-m.wall)
}

// startClock goes on where the mark in dir was made; without one, as in folders of earlier versions, where the database was written last.
func (s *Store) startClock() {
	c := &s.clock
	c.path, c.now, c.wall = filepath.Join(s.cfg.Dir, clockFile), s.cfg.Now, s.cfg.Wall
	c.stop, c.done = make(chan struct{}), make(chan struct{})
	c.begin = c.now()
	c.begin = c.begin.Add(-time.Duration(c.begin.Nanosecond()) % time.Millisecond)
	wall := c.shown(c.begin)
	c.base = wall
	m, err := readMark(c.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.cfg.Log.Warn("what the clock showed last cannot be read: deadlines may be off", "file", c.path, "error", err)
	}
	if err == nil {
		c.saved, c.base = m, m.resume(wall)
	} else if info, err := os.Stat(filepath.Join(s.cfg.Dir, dataFile)); err == nil {
		at := info.ModTime().UnixMilli()
		c.base = mark{at, at}.resume(wall)
	}
	if behind := time.Duration(c.base-wall) * time.Millisecond; behind > clockSlack {
		s.cfg.Log.Warn("the wall clock is behind what is stored: deadlines go on from there", "clock", time.UnixMilli(wall), "behind", behind)
	}
}

// shown is what the wall clock shows now, in Unix milliseconds.
func (c *clock) shown(now time.Time) int64 {
	if c.wall != nil {
		now = c.wall()
	}
	return now.UnixMilli()
}

func readMark(path string) (m mark, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return m, err
	}
	_, err = fmt.Sscanf(string(text), "%d %d\n", &m.time, &m.wall)
	return m, err
}

// Stamp is t in the stored time. Deadlines are written so, and read with Time, also in another run.
func (s *Store) Stamp(t time.Time) int64 {
	now := s.clock.now()
	return s.clock.base + (now.Sub(s.clock.begin) + t.Sub(now)).Round(time.Millisecond).Milliseconds()
}

// Time is what Stamp was made of, as seen from now.
func (s *Store) Time(stamp int64) time.Time {
	now := s.clock.now()
	return now.Add(time.Duration(stamp-s.clock.base)*time.Millisecond - now.Sub(s.clock.begin))
}

// run keeps the mark, until Close.
func (c *clock) run(s *Store) {
	defer close(c.done)
	ticker := time.NewTicker(clockLook)
	defer ticker.Stop()
	for {
		select {
		case <-c.stop:
			s.saveClock()
			return
		case <-ticker.C:
			if c.due(s.mark()) {
				s.saveClock()
			}
		}
	}
}

func (s *Store) mark() mark {
	now := s.clock.now()
	return mark{s.Stamp(now), s.clock.shown(now)}
}

// due reports whether the mark is old, or the wall clock has jumped since.
func (c *clock) due(now mark) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	jump := (now.wall - c.saved.wall) - (now.time - c.saved.time)
	return now.time-c.saved.time >= clockEvery.Milliseconds() || max(jump, -jump) > clockSlack.Milliseconds()
}

// saveClock writes the mark. When that fails a later start goes on from an earlier one.
func (s *Store) saveClock() {
	c, now := &s.clock, s.mark()
	err := writeFile(c.path, fmt.Sprintf("%d %d\n", now.time, now.wall))
	if err != nil {
		s.cfg.Log.Warn("what the clock shows cannot be written", "file", c.path, "error", err)
		return
	}
	c.mu.Lock()
	c.saved = now
	c.mu.Unlock()
}

// writeFile puts a small file in the place of the one before, whole or not at all.
func writeFile(path, text string) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
