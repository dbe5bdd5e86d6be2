package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"mangrove/firmware-sim"
)

// Control sequences of terminals. A live line that is too long is cut off, since a wrapped one could not be
// cleared.
const (
	noWrap    = "\x1b[?7l"
	wrap      = "\x1b[?7h"
	clearLine = "\r\x1b[K"
)

// Screen prints events as lines, and the state of the run as one line that is rewritten in place on a
// terminal and repeated once per second elsewhere. Safe for concurrent use.
type Screen struct {
	w        io.Writer
	terminal bool

	mu      sync.Mutex
	last    firmwaresim.Snapshot
	started time.Time
	live    bool // a live line stands at the cursor
}

// NewScreen writes to w; terminal says that w can rewrite its last line.
func NewScreen(w io.Writer, terminal bool) *Screen { return &Screen{w: w, terminal: terminal} }

// Print writes text as it is, above the live line.
func (s *Screen) Print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	io.WriteString(s.w, text) // a terminal that has gone ends the command with SIGPIPE or SIGHUP
}

// Event writes one line with the time of the run.
func (s *Screen) Event(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clearLocked()
	fmt.Fprintf(s.w, "  %6s  %s\n", s.clockLocked(), fmt.Sprintf(format, args...))
}

// Progress shows a snapshot; extra is added to the line.
func (s *Screen) Progress(now firmwaresim.Snapshot, extra string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started.IsZero() && now.Phase != firmwaresim.Probing {
		s.started = time.Now().Add(-now.Elapsed)
	}
	changed := now.Phase != s.last.Phase
	line := progressLine(s.last, now) + extra
	if s.last = now; changed && !s.terminal {
		return // the phase has an event of its own; rates need a second
	}
	s.clearLocked()
	if !s.terminal {
		fmt.Fprintf(s.w, "  %6s  %s\n", s.clockLocked(), line)
		return
	}
	fmt.Fprintf(s.w, "%s  %6s  %s%s", noWrap, s.clockLocked(), line, wrap)
	s.live = true
}

func (s *Screen) clockLocked() string {
	if s.started.IsZero() {
		return ""
	}
	return fmt.Sprintf("%.1f s", time.Since(s.started).Seconds())
}

func (s *Screen) clearLocked() {
	if s.live {
		io.WriteString(s.w, clearLine)
		s.live = false
	}
}

// progressLine tells rates between two snapshots and what is open in the later one.
func progressLine(before, now firmwaresim.Snapshot) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%d online", now.Connected, now.Devices)
	if seconds := (now.Elapsed - before.Elapsed).Seconds(); seconds > 0.1 {
		fmt.Fprintf(&b, " │ %4.0f msg/s sent, %4.0f received",
			float64(now.Total.Published-before.Total.Published)/seconds, float64(now.Total.Received-before.Total.Received)/seconds)
	}
	if n := now.Total.Unacknowledged; n > 0 {
		fmt.Fprintf(&b, " │ %d unacknowledged", n)
	}
	if n := now.Total.Lost; n > 0 {
		fmt.Fprintf(&b, " │ %d on their way", n)
	}
	if n := now.Waiting; n > 0 {
		fmt.Fprintf(&b, " │ %d waiting in devices", n)
	}
	return b.String()
}
