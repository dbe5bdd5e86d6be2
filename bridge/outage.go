package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// outcome is how one attempt to reach a neighbour ended.
type outcome struct {
	up    time.Duration // how long there was a link; 0 = it did not come up
	retry time.Duration // what the other side asked to wait, at least
	err   error

	closed bool // a plain broker ended it without a reason, or because of another client with this node's id
}

// lasting is how long a link must have been up for its end to be news. One that ends earlier is a failed attempt: it is told
// as such, and the next attempt waits longer. So what accepts links and closes them at once is not dialled all the time.
const lasting = 10 * time.Second

// upFor is how long a link that came up at rose has been up; 0 when rose is zero.
func (b *Bridge) upFor(rose time.Time) time.Duration {
	if rose.IsZero() {
		return 0
	}
	return max(b.cfg.Now().Sub(rose), 1)
}

// lasted reports whether the link was up for a while. Two nodes that take one name from each other at a broker are up for as long as
// the other one waits: that is no while, or they would begin anew each time.
func (b *Bridge) lasted(o outcome) bool {
	least := min(lasting, b.cfg.Backoff.Max)
	if o.closed {
		least = 2 * b.cfg.Backoff.Max
	}
	return o.up > 0 && o.up >= least
}

// closedAtOnce is how often in a row a broker ends connections without a reason until a second client is suspected.
const closedAtOnce = 3

// closedHint is what to look at then.
func (b *Bridge) closedHint() string {
	return fmt.Sprintf("does another node run under the name %q there (client id %q)? Give each a name of its own", b.cfg.Node, remoteClientID(b.cfg.Node))
}

// ended notes how an attempt, or the link that came of it, ended. Where that is a failure the operator is warned, as
// package notice has it.
func (n *neighbour) ended(o outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.link.Load() == nil {
		n.dialling = false
	}
	if o.err == nil {
		return
	}
	n.lastError = reasonText(o.err)
	if errors.Is(o.err, errClosing) || errors.Is(o.err, context.Canceled) {
		return // nobody wants a link any more
	}
	if n.b.lasted(o) {
		n.failing.End()
		return
	}
	if o.closed && n.failing.Times >= closedAtOnce-1 {
		n.lastError += ", again and again: " + n.b.closedHint()
	}
	if n.failing.Note(n.b.cfg.Now(), n.lastError) {
		waiting, _ := n.queue.Backlog()
		n.b.cfg.Log.Warn("link fails", "neighbour", n.title(), "addr", n.addr, "error", n.lastError,
			"attempts", n.failing.Times, "for", n.awayLocked(), "waiting", waiting)
	}
}

// title is what the neighbour is called in the log.
func (n *neighbour) title() string {
	if n.scope == mqtt.ScopeUplink {
		return "uplink"
	}
	return n.name
}

// awayLocked is how long there has been no link.
func (n *neighbour) awayLocked() time.Duration {
	if n.down.IsZero() {
		return 0
	}
	return n.b.cfg.Now().Sub(n.down).Round(10 * time.Millisecond)
}

// upLocked notes that there is a link, and returns what is told of the time before.
func (n *neighbour) upLocked(addr string) (told []any) {
	waiting, size := n.queue.Backlog()
	if !n.down.IsZero() {
		told = []any{"away", n.awayLocked()}
	}
	n.since, n.addr, n.lastError, n.down = n.b.cfg.Now(), addr, "", time.Time{}
	return append(told, "waiting", waiting, "waiting_bytes", size)
}

// refused tells the operator of this end that the link did not come about. The end that dialled tells it by itself.
func (l *link) refused(err error) {
	if l.dialled || err == nil || errors.Is(err, errClosing) {
		return
	}
	name := l.theirs.Name
	if name == "" {
		name = l.expect
	}
	if errors.Is(err, errUnused) {
		l.log.Debug("connection without a word", "neighbour", name, "error", err)
		return
	}
	if times, tell := l.b.refusals.Note(l.b.cfg.Now(), name, reasonText(err)); tell {
		l.b.cfg.Log.Warn("link did not come about", "neighbour", name, "addr", l.addr, "error", reasonText(err), "times", times)
	}
}

// errUnused: the other end closed the connection before it said HELLO, as who races several addresses does with those it does not need.
var errUnused = errors.New("closed before HELLO")

// reasonText is an error without the port of this end, which is another each time.
func reasonText(err error) string {
	text := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Source != nil {
		text = strings.ReplaceAll(text, op.Source.String()+"->", "")
	}
	return text
}

// endedByBroker tells that a plain broker has closed the connection and gave no reason, or that of a second client with our id.
func endedByBroker(err error, reason byte, told bool) bool {
	if told {
		return packet.ReasonCode(reason) == packet.SessionTakenOver
	}
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
}
