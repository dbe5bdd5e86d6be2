package store

// arena is memory for many small things that are let go together: it spares an allocation for each, and leaves no holes between
// what lives longer.
type arena struct {
	free []byte
	size int // bytes in all
}

const arenaStep = 32 << 10

// take returns n bytes that nobody else has.
func (a *arena) take(n int) (b []byte) {
	if len(a.free) < n {
		step := max(n, arenaStep)
		a.free = make([]byte, step)
		a.size += step
	}
	b, a.free = a.free[:n:n], a.free[n:]
	return b
}
