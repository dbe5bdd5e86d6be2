package notice

import (
	"sync"
	"time"
)

// Book keeps troubles by name, for names that others choose: a bounded number of them. Safe for concurrent use. The zero
// value is empty.
type Book struct {
	mu     sync.Mutex
	byName map[string]*Trouble
	swept  time.Time
}

// maxNames bounds a Book: those beyond share one Trouble.
const maxNames = 256

// quiet is how long something must not have gone wrong to be forgotten.
const quiet = time.Hour

// Note counts that name went wrong. tell reports whether it is to be told now, times how often it was since it began.
func (b *Book) Note(now time.Time, name, reason string) (times int, tell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.findLocked(now, name)
	tell = t.Note(now, reason)
	return t.Times, tell
}

func (b *Book) findLocked(now time.Time, name string) *Trouble {
	if len(b.byName) >= maxNames && now.Sub(b.swept) >= quiet/64 {
		b.sweepLocked(now)
	}
	t := b.byName[name]
	if t == nil && len(b.byName) >= maxNames {
		name = ""
		t = b.byName[name]
	}
	if t != nil && now.Sub(t.last) < quiet {
		return t
	}
	if b.byName == nil {
		b.byName = map[string]*Trouble{}
	}
	t = new(Trouble)
	b.byName[name] = t
	return t
}

func (b *Book) sweepLocked(now time.Time) {
	b.swept = now
	for name, t := range b.byName {
		if now.Sub(t.last) >= quiet {
			delete(b.byName, name)
		}
	}
}
