package overflow

import "time"

// Ages knows about how old the oldest message of a queue is, without a time in each message: it notes when some
// positions were given. Guarded by the lock of its queue. The zero value knows nothing.
type Ages struct {
	marks []mark
	every uint64 // positions from one mark to the next at least
}

type mark struct {
	pos uint64 // messages at it or behind came
	at  time.Time
}

const (
	agesEvery = 256 // positions from one mark to the next; a power of two
	agesMost  = 64  // marks; beyond it every second one goes, and new ones are half as many
)

// Due reports whether position pos is to be noted.
func (a *Ages) Due(pos uint64) bool { return pos%agesEvery == 0 }

// Note says that pos is given at now; first is the position of the oldest message there is.
func (a *Ages) Note(pos, first uint64, now time.Time) {
	if gone := a.before(first); gone > 0 {
		a.marks = append(a.marks[:0], a.marks[gone:]...)
	}
	if n := len(a.marks); n < 2 {
		a.every = 0
	} else if pos-a.marks[n-1].pos < a.every {
		return
	}
	if len(a.marks) == agesMost {
		for i := range agesMost / 2 {
			a.marks[i] = a.marks[2*i]
		}
		a.marks, a.every = a.marks[:agesMost/2], 2*max(a.every, agesEvery)
	}
	a.marks = append(a.marks, mark{pos, now})
}

// before is how many marks the message at first does not need: all before the last one that is not after it.
func (a *Ages) before(first uint64) int {
	n := 0
	for n+1 < len(a.marks) && a.marks[n+1].pos <= first {
		n++
	}
	return n
}

// Of is how old the message at first is at most; ok is false when that is not known.
func (a *Ages) Of(first uint64, now time.Time) (age time.Duration, ok bool) {
	if i := a.before(first); i < len(a.marks) && a.marks[i].pos <= first {
		return now.Sub(a.marks[i].at), true
	}
	return 0, false
}
