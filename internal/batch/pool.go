package batch

import "sync"

// Pool keeps the memory of batches that were settled, for the next ones. Safe for concurrent use; the zero value works.
type Pool struct{ pool sync.Pool } // of *Batch

// Get returns an empty batch, which Settle gives back to p.
func (p *Pool) Get() *Batch {
	if b, ok := p.pool.Get().(*Batch); ok {
		return b
	}
	return &Batch{home: p}
}

// put takes back a batch that nobody uses any more, unless it has grown too large to be worth keeping.
func (p *Pool) put(b *Batch) {
	if b.reset() {
		p.pool.Put(b)
	}
}
