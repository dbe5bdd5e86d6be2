package bridge

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"mangrove/bridge/frame"
)

// part is a DATA frame of a neighbour that has come in fragments, not all of them yet. In memory only: after a restart the
// neighbour begins that frame again.
type part struct {
	mu    sync.Mutex
	name  uint64    // 0 = there is none
	size  int       // bytes that are here
	body  [][]byte  // them, in pieces: a slice that grows would take several times that
	since time.Time // of the latest fragment
}

// handleFragment collects a frame. When it is whole it is handled as if it had come as one.
func (l *link) handleFragment(body []byte) error {
	l.b.metrics.bytesIn.Add(len(body))
	f, err := frame.DecodeFragment(body)
	switch {
	case err != nil:
		return err
	case f.Size > l.b.cfg.MaxPartBytes:
		return fmt.Errorf("frame of %d bytes in fragments, %d are taken", f.Size, l.b.cfg.MaxPartBytes)
	}
	p := &l.n.part
	if f.Lane != frame.LaneDurable {
		p = &l.volatilePart
	}
	if !l.b.partRoom(p, len(f.Bytes)) {
		text := "no room for more messages that come in parts"
		l.fail(errors.New(text), &frame.Goaway{Code: frame.GoawayRefused, Retry: l.b.cfg.RefuseRetry, Text: text})
		return nil
	}
	held, whole, err := l.b.collect(p, f)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.held, l.heldDue = frame.Held{Name: f.Name, Bytes: held, Came: l.came}, true
	l.mu.Unlock()
	l.kick()
	if whole == nil {
		return nil
	}
	data, err := frame.DecodeWhole(whole, l.b.compressor)
	if err != nil {
		return err
	}
	l.aged = f.Age
	defer func() { l.aged = 0 }()
	return l.takeData(data)
}

// collect adds a fragment to p, and takes the frame out of it when it is whole.
func (b *Bridge) collect(p *part, f frame.Fragment) (held int, whole []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Name != p.name && f.From == 0 {
		b.parts.Add(-int64(p.size))
		p.name, p.size, p.body = f.Name, 0, nil
	}
	if f.Name != p.name || f.From > p.size {
		return 0, nil, fmt.Errorf("fragment from %d of a frame of which %d bytes are here", f.From, p.size)
	}
	p.since = b.cfg.Now()
	if more := f.From + len(f.Bytes) - p.size; more > 0 {
		b.parts.Add(int64(more))
		p.add(f.Bytes[len(f.Bytes)-more:], f.Size)
	}
	if p.size < f.Size {
		return p.size, nil, nil
	}
	whole = slices.Concat(p.body...)
	b.parts.Add(-int64(p.size))
	p.name, p.size, p.body = 0, 0, nil
	return f.Size, whole, nil
}

// pieceBytes is how much of a part lies together at most; as much as is there already, so that a beginning takes little.
const pieceBytes = 64 << 10

// add puts bytes behind what is here of a frame of size bytes.
func (p *part) add(bytes []byte, size int) {
	for len(bytes) > 0 {
		n := len(p.body)
		if n == 0 || len(p.body[n-1]) == cap(p.body[n-1]) {
			p.body = append(p.body, make([]byte, 0, min(pieceBytes, size-p.size, max(p.size, len(bytes)))))
			n++
		}
		last := &p.body[n-1]
		fits := min(len(bytes), cap(*last)-len(*last))
		*last = append(*last, bytes[:fits]...)
		p.size, bytes = p.size+fits, bytes[fits:]
	}
}

// partRoom makes room for n bytes more of mine: at the cost of those whose neighbours are away, then of the largest one, as long as
// that is larger than mine or has stood still for two keep-alives. So nobody keeps others out with what it never ends, and the
// smaller of two comes through.
func (b *Bridge) partRoom(mine *part, n int) bool {
	for b.parts.Load()+int64(n) > int64(b.cfg.MaxPartBytes) {
		p, l := b.largestPart(mine)
		if p == nil || l != nil && p.held() <= mine.held()+n && !p.stalled(b.cfg.Now().Add(-2*b.cfg.KeepAlive)) {
			return false
		}
		b.dropPart(p)
		if l != nil {
			text := "room for messages that come in parts is wanted by others"
			l.fail(errors.New(text), &frame.Goaway{Code: frame.GoawayRefused, Retry: b.cfg.RefuseRetry, Text: text})
		}
	}
	return true
}

// largestPart finds the part besides mine that gives way first, and the link that it comes over; nil = its neighbour is away.
func (b *Bridge) largestPart(mine *part) (largest *part, over *link) {
	most := 0
	for _, n := range b.all() {
		l := n.link.Load()
		ps := []*part{&n.part}
		if l != nil {
			ps = append(ps, &l.volatilePart)
		}
		for _, p := range ps {
			switch held := p.held(); {
			case held == 0 || p == mine:
			case l == nil:
				return p, nil
			case held > most:
				largest, over, most = p, l, held
			}
		}
	}
	return largest, over
}

func (p *part) held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// stalled tells that nothing has come since then.
func (p *part) stalled(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.since.Before(since)
}

// dropPart forgets what has come: the neighbour will begin again.
func (b *Bridge) dropPart(p *part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b.parts.Add(-int64(p.size))
	p.name, p.size, p.body = 0, 0, nil
}

// agePart drops what has waited for too long.
func (n *neighbour) agePart(now time.Time) {
	n.part.mu.Lock()
	old := n.part.name != 0 && now.Sub(n.part.since) > n.b.cfg.PartLinger
	n.part.mu.Unlock()
	if old && !n.Online() {
		n.b.dropPart(&n.part)
	}
}

// partHeld is what HELLO says of it.
func (n *neighbour) partHeld() frame.Held {
	n.part.mu.Lock()
	defer n.part.mu.Unlock()
	return frame.Held{Name: n.part.name, Bytes: n.part.size}
}
