package sim

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// Bounds of one direction of one connection. A full queue stops the reader, and so the sender.
const (
	chunkSize   = 16 << 10
	queueChunks = 64
)

// link is one connection through the proxy.
type link struct {
	proxy  *Proxy
	client net.Conn
	ctx    context.Context // ends with reset or the proxy's Close
	cancel context.CancelFunc

	mu     sync.Mutex
	target net.Conn // nil until dialled
}

func newLink(p *Proxy, client net.Conn) *link {
	l := &link{proxy: p, client: client}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	return l
}

// run waits for the way to be open, reaches the target and forwards until both directions ended.
func (l *link) run() {
	defer l.proxy.owned.Done()
	defer l.proxy.forget(l)
	defer l.close(false)
	if !l.proxy.pass(l.ctx) {
		return
	}
	target, err := l.proxy.dial(l.ctx)
	if err != nil {
		l.proxy.log.Debug("proxy cannot reach its target", "target", l.proxy.target, "error", err)
		return
	}
	if !l.attach(target) {
		return
	}
	var pipes sync.WaitGroup
	pipes.Go(func() { l.pipe(l.client, target) }) // both end with EOF, an error or reset; waited for below
	pipes.Go(func() { l.pipe(target, l.client) })
	pipes.Wait()
}

// attach remembers the target's connection for reset; false when that has happened already.
func (l *link) attach(target net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		resetConn(target)
		return false
	}
	l.target = target
	return true
}

// reset ends the link at both ends with RST.
func (l *link) reset() { l.close(true) }

// close frees both connections. Without reset, bytes that are under way in the kernel still arrive.
func (l *link) close(reset bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel()
	for _, conn := range []net.Conn{l.client, l.target} {
		switch {
		case conn == nil:
		case reset:
			resetConn(conn)
		default:
			_ = conn.Close() // closed twice or broken: either way it is gone
		}
	}
}

// chunk is bytes on their way; err is how the stream ended after them, io.EOF for FIN.
type chunk struct {
	data []byte
	due  time.Time
	err  error
}

// pipe carries one direction: a reader of its own, and the writer here.
func (l *link) pipe(from, to net.Conn) {
	queue := make(chan chunk, queueChunks)
	var reader sync.WaitGroup
	reader.Go(func() { l.read(from, queue) }) // ends with EOF, an error or reset; waited for below
	l.write(to, queue)
	reader.Wait()
}

// read stamps what comes in with the time it is due at the other end. It closes queue.
func (l *link) read(from net.Conn, queue chan<- chunk) {
	defer close(queue)
	var last time.Time
	for l.proxy.pass(l.ctx) {
		buf := make([]byte, chunkSize)
		n, err := from.Read(buf)
		c := chunk{data: buf[:n], due: l.due(last), err: err}
		last = c.due
		select {
		case queue <- c:
		case <-l.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// due is now plus the delay of the line, but not before what went ahead.
func (l *link) due(last time.Time) time.Time {
	q := l.proxy.quality()
	d := q.delay
	if q.jitter > 0 {
		d += rand.N(q.jitter)
	}
	due := time.Now().Add(d)
	if due.Before(last) {
		return last
	}
	return due
}

// write lets chunks out when they are due, the way is open and the rate allows. How the sender ended is
// passed on: FIN for FIN, a reset for anything else.
func (l *link) write(to net.Conn, queue <-chan chunk) {
	for c := range queue {
		if !sleep(l.ctx, time.Until(c.due)) || !l.pay(len(c.data)) || !l.proxy.pass(l.ctx) {
			return
		}
		if _, err := to.Write(c.data); err != nil {
			l.reset()
			return
		}
		switch {
		case c.err == io.EOF:
			closeWrite(to)
			return
		case c.err != nil:
			l.reset()
			return
		}
	}
}

// pay waits as long as n bytes take at the line's rate.
func (l *link) pay(n int) bool {
	rate := l.proxy.quality().rate
	if rate == 0 {
		return true
	}
	return sleep(l.ctx, time.Duration(n)*time.Second/time.Duration(rate))
}

func closeWrite(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // an error means that the receiver has gone, which ends the link anyway
	}
}
