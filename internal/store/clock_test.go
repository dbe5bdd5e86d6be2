package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// What the time of the store is after a stop, by what the wall clock shows then.
func TestClockResumes(t *testing.T) {
	const today, booted = 1_800_000_000_000, 5_000
	for name, c := range map[string]struct {
		last mark
		wall int64
		want int64
	}{
		"an hour went by":                       {mark{today, today}, today + 3_600_000, today + 3_600_000},
		"an hour, in a store that lags":         {mark{today - 50, today}, today + 3_600_000, today - 50 + 3_600_000},
		"starts in 1970: nobody knows":          {mark{today, today}, booted, today},
		"starts where it stopped":               {mark{today, today}, today, today},
		"starts a day before":                   {mark{today, today}, today - 86_400_000, today},
		"ran in 1970, now it knows":             {mark{booted, booted}, today, booted},
		"in 1970 again":                         {mark{today + 9, booted + 60_000}, booted, today + 9},
		"still in 1970, the process was killed": {mark{today, booted}, booted + 7, today + 7},
	} {
		if got := c.last.resume(c.wall); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

// shown is a wall clock that is set at will, while the steady one goes on.
type shown struct{ ahead time.Duration }

func (s *shown) wall() time.Time { return time.Now().Round(0).Add(s.ahead) }

// A deadline stays as far away as it is, however the wall clock is set, while the store is open and while it is not.
func TestStampsDoNotJump(t *testing.T) {
	const years = 40 * 365 * 24 * time.Hour
	clock := &shown{-years}
	cfg := Config{Dir: t.TempDir(), Wall: clock.wall}
	s := openTest(t, cfg)
	deadline := s.Stamp(time.Now().Add(time.Hour))
	wantLeft := func(why string, want time.Duration) {
		t.Helper()
		if left := time.Until(s.Time(deadline)); left > want+time.Second || left < want-time.Minute {
			t.Errorf("%s: got %v left, want %v", why, left, want)
		}
	}
	wantLeft("at once", time.Hour)
	clock.ahead = 0
	wantLeft("the time server answered", time.Hour)
	reopen := func(ahead time.Duration) {
		t.Helper()
		must(t, s.Close())
		clock.ahead = ahead
		s = openTest(t, cfg)
	}
	reopen(0)
	wantLeft("reopened", time.Hour)
	reopen(-years)
	wantLeft("started in 1986", time.Hour)
	clock.ahead = 20 * time.Minute
	wantLeft("the time server answered again", time.Hour)
	reopen(30 * time.Minute)
	wantLeft("ten minutes passed", 50*time.Minute)
	reopen(-30 * time.Minute)
	wantLeft("set back", 50*time.Minute)
	must(t, s.Close())
}

// What a jump was is written soon, and else now and then only.
func TestClockIsDue(t *testing.T) {
	c := &clock{saved: mark{1_000_000, 5_000_000}}
	for name, x := range map[string]struct {
		now  mark
		want bool
	}{
		"a minute later": {mark{1_060_000, 5_060_000}, false},
		"much later":     {mark{1_600_000, 5_600_000}, true},
		"ahead":          {mark{1_060_000, 5_063_000}, true},
		"back":           {mark{1_060_000, 4_000_000}, true},
	} {
		if got := c.due(x.now); got != x.want {
			t.Errorf("%s: got %v, want %v", name, got, x.want)
		}
	}
}

// A folder of a version that kept no mark, or one with a damaged mark, goes on where the database was written last.
func TestFolderWithoutClock(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		clock := &shown{}
		cfg := Config{Dir: t.TempDir(), Wall: clock.wall}
		s := openTest(t, cfg)
		must(t, s.Close())
		file := filepath.Join(cfg.Dir, clockFile)
		must(t, os.Remove(file))
		if damaged {
			must(t, os.WriteFile(file, []byte("x"), 0o600))
		}
		clock.ahead = -40 * 365 * 24 * time.Hour
		s = openTest(t, cfg)
		if got := s.Stamp(time.Now()); got < time.Now().Add(-time.Minute).UnixMilli() {
			t.Errorf("damaged %v: got %v, want today", damaged, time.UnixMilli(got))
		}
		must(t, s.Close())
	}
}
