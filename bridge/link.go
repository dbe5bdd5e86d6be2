package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/bell"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

// link is one connection to another node.
//
//	carrier ─Frame→ handle (the connection's goroutine) ─ marks what is due, kick ─┐
//	queues, announcer, store's writer ───────────────────────────────── kick ─┤
//	                                                                       run ─Frame→ carrier
//
// Only run sends, so that frames leave in the order that it decides: goodbye, acknowledgements, the list of cores,
// interest, messages. It is the one goroutine of a link; the Bridge waits for it.
type link struct {
	b          *Bridge
	expect     string // the name that must be at the other end; "" = any
	dialled    bool
	addr       string
	detour     *detour // the connection, when it goes through another core; nil = it does not
	out        outbox
	farewellTo atomic.Pointer[leaving]
	kept       map[string]struct{} // of KEEP frames, until the last has come; reading only
	barred     bool                // it is over: no circuit may begin on it; circuits.mu guards it
	log        *slog.Logger

	begun time.Time
	pace  *linePace
	wake  bell.Bell
	gone  chan struct{} // closed by end: nothing happens any more

	reading sync.Mutex // held while a frame is handled

	mu      sync.Mutex
	carrier mqtt.Carrier
	stage   stage
	rose    time.Time  // when it came up; zero = it did not
	n       *neighbour // from greeted on
	theirs  frame.Hello
	counts  uint64 // the attach number told to an edge that comes with a lower one; 0 = none
	credit  lane.Credit
	bye     *frame.Goaway // to be sent as the last frame; nil = just close
	leaving bool          // fail was called
	err     error         // why
	closer  *time.Timer
	retry   time.Duration
	ack     uint64        // position to acknowledge
	ackCame time.Duration // when the frame with it came, as came has it
	ackDue  bool
	inbound []*inbound // DATA frames that are being kept, in order
	notes   []note     // to be sent, in order
	held    frame.Held // answer to the latest fragment
	heldDue bool
	cutting *cutting // the frame that goes in fragments, before any other message; nil = none
	asking  asking
	asked   atomic.Bool // asking waits for a sign of life

	healing              healing
	agreement            agreement
	follower             *interest.Follower // run only, from up on
	settled              bool               // interest of the far side is complete; reading only
	stranger             uint64             // the life of the last message that was not our own; reading only
	coresSent            *coreList          // run only
	volatilePart         part               // a frame of the volatile lane that comes in fragments
	came                 time.Duration      // reading only: when the frame that is read came, since begun; our clock for the other end
	aged                 time.Duration      // reading only: how long the message that is read was under way
	items, body, recoded []byte             // run only: buffers
	spans                []span             // run only
	ids                  []uint64           // run only
	entries              []lane.Entry       // run only
	volatiles            []*mqtt.Message    // run only
}

// stage is how far a link has come:
//
//	fresh ─ their HELLO → greeted ─ run has answered → up ─ fail, Closed → over
type stage byte

const (
	stageFresh stage = iota
	stageGreeted
	stageUp
	stageOver
)

// closeGrace is how long a link may take to say goodbye when its connection does not take bytes.
const closeGrace = time.Second

func (b *Bridge) newLink(expect, addr string, dialled bool) *link {
	l := &link{
		b: b, expect: expect, dialled: dialled, addr: addr, begun: time.Now(),
		log:  b.cfg.Log.With("addr", addr),
		wake: bell.New(), gone: make(chan struct{}),
	}
	l.pace = newLinePace(l.unacked)
	return l
}

// start gives the link its connection and begins. b.running was counted by the caller.
func (l *link) start(c mqtt.Carrier) {
	l.mu.Lock()
	l.carrier = c
	l.mu.Unlock()
	go l.run() // owned by the Bridge, ends with fail or Closed, Bridge.Close waits by b.running
}

// unacked is how much of what was sent is under way. Run only.
func (l *link) unacked() int {
	m, _ := l.carrier.Moved()
	return m.Unacked
}

// moves tells whether anything has come since it was asked last; came is how many bytes had. Run only.
func (l *link) moves(came *uint64) bool {
	m, _ := l.carrier.Moved()
	moves := m.Received > *came
	*came = m.Received
	return moves
}

// kick makes run look for work. Does not block.
func (l *link) kick() { l.wake.Ring() }

func (l *link) run() {
	defer l.b.running.Done()
	defer l.end()
	handshake := time.NewTimer(l.b.cfg.Handshake)
	defer handshake.Stop()
	trim := time.NewTimer(time.Hour)
	defer trim.Stop()
	summary := time.NewTicker(l.b.cfg.CheckInterest)
	defer summary.Stop()
	look := time.NewTimer(time.Hour)
	defer look.Stop()
	armed, came := false, uint64(0)
	l.moves(&came)
	if l.dialled {
		if err := l.sendHello(l.b.heldOf(l.expect)); err != nil {
			l.fail(err, nil)
		}
	}
	for {
		for l.step() {
		}
		if l.isLeaving() {
			return
		}
		if !armed && l.trims() > 0 {
			armed = true
			trim.Reset(l.b.cfg.TrimDelay)
		}
		if l.pace.again > 0 {
			look.Reset(l.pace.again)
		}
		select {
		case <-l.wake:
		case <-look.C:
		case <-trim.C:
			armed = false
			l.trim()
		case <-summary.C:
			l.agreement.due.Store(true)
		case <-handshake.C:
			if l.stageNow() == stageFresh && l.moves(&came) {
				handshake.Reset(l.b.cfg.Handshake)
			} else if l.stageNow() == stageFresh {
				l.fail(fmt.Errorf("no HELLO within %v", l.b.cfg.Handshake), nil)
			}
		}
	}
}

func (l *link) stageNow() stage {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stage
}

func (l *link) isLeaving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving
}

// fail ends the link, with bye as its last frame when it is not nil. The first call counts. Does not block.
func (l *link) fail(err error, bye *frame.Goaway) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failLocked(err, bye)
}

func (l *link) failLocked(err error, bye *frame.Goaway) {
	if l.leaving {
		return
	}
	l.leaving, l.err, l.bye = true, err, bye
	if bye != nil && bye.Code == frame.GoawayRefused {
		l.retry = max(l.retry, bye.Retry)
	}
	if c := l.carrier; c != nil {
		l.closer = time.AfterFunc(closeGrace, func() { c.Close(packet.Success) }) // run may be stuck in Frame
	}
	l.kick()
}

// end takes the link out of everything; the last thing run does.
func (l *link) end() {
	l.mu.Lock()
	bye, carrier, n, rose, err := l.bye, l.carrier, l.n, l.rose, l.err
	l.mu.Unlock()
	reason := packet.Success
	if bye != nil {
		l.sayGoodbye(carrier, bye)
		reason = reasonOf(bye.Code)
	}
	carrier.Close(reason)
	l.reading.Lock() // a frame that is being handled comes to its end
	l.mu.Lock()
	l.stage = stageOver
	if l.closer != nil {
		l.closer.Stop()
	}
	l.stopAskingLocked()
	l.mu.Unlock()
	l.reading.Unlock()
	l.closeCircuits()
	if l.follower != nil {
		l.follower.Stop()
	}
	l.b.dropPart(&l.volatilePart)
	if l.cutting != nil && l.cutting.lane == frame.LaneVolatile {
		l.b.metrics.dropped(lane.DropLinkDown, 1)
	}
	if n != nil {
		l.trim()
		n.release(l)
		n.unrivalled()
	}
	if rose.IsZero() {
		l.refused(err)
	}
	l.b.dismiss(l)
	close(l.gone)
}

func (l *link) sayGoodbye(c mqtt.Carrier, bye *frame.Goaway) {
	if err := c.Frame(frame.KindGoaway, bye.Append(nil)); err != nil {
		l.log.Debug("goodbye not sent", "error", err)
	}
}

// Closed implements mqtt.LinkEnd.
func (l *link) Closed(err error) {
	if err == nil {
		err = errors.New("connection closed")
	}
	if l.stageNow() == stageFresh {
		err = fmt.Errorf("%w: %w", errUnused, err)
	}
	l.fail(err, nil)
}

// wait returns when the link is over.
func (l *link) wait(ctx context.Context) outcome {
	select {
	case <-l.gone:
	case <-ctx.Done():
		l.fail(errClosing, l.b.farewell())
		<-l.gone
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return outcome{up: l.b.upFor(l.rose), retry: l.retry, err: l.err}
}

// farEnd is who is there, and how far the link has come.
func (l *link) farEnd() (name string, s stage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.theirs.Name, l.stage
}
