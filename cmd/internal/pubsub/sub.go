package pubsub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"mangrove/cmd/internal/cli"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
	"mangrove/mqtt/topic"
)

// Times of a subscriber.
const (
	answerTime   = 15 * time.Second // for SUBACK
	reconnectMin = 500 * time.Millisecond
	reconnectMax = 10 * time.Second
)

// Sub is the command sub.
type Sub struct {
	options
	topics, filterOut, unsubscribe []string
	count                          int
	seconds                        float64
	verbose, noRetained, noNewline bool
	exitAfterSub                   bool
	format                         string

	print Format
	out   io.Writer
	err   io.Writer

	mu      sync.Mutex
	printed int
	failed  error         // writing to out
	enough  chan struct{} // closed with the last message of -C, or when out fails
	more    chan struct{} // closed when a message came after that; it is not taken
	release chan struct{} // closed when the connection is closing
	once    sync.Once     // closes more
}

// Bind adds the flags to fs.
func (s *Sub) Bind(fs *pflag.FlagSet) {
	s.bind(fs)
	fs.StringArrayVarP(&s.topics, "topic", "t", nil, "filter to subscribe to; may be repeated")
	fs.StringArrayVarP(&s.filterOut, "filter-out", "T", nil, "do not print what matches this; may be repeated")
	fs.StringArrayVarP(&s.unsubscribe, "unsubscribe", "U", nil, "take back this subscription of the session; may be repeated")
	fs.IntVarP(&s.count, "count", "C", 0, "end after this many messages")
	fs.Float64VarP(&s.seconds, "timeout", "W", 0, "end after this many seconds, with exit code 27")
	fs.BoolVarP(&s.verbose, "verbose", "v", false, "print the topic before the message")
	fs.BoolVarP(&s.noRetained, "no-retained", "R", false, "do not print retained messages")
	fs.BoolVarP(&s.noNewline, "no-newline", "N", false, "print no newline after a message")
	fs.BoolVarP(&s.exitAfterSub, "exit-after-subscribe", "E", false, "end as soon as the broker has the subscriptions")
	fs.StringVarP(&s.format, "format", "F", "", "how to print a message, as '%t %p' (see above)")
}

// Run subscribes and prints until the count, the time or ctx ends it. A connection that is lost is
// made again; one that could not be made at first is an error.
func (s *Sub) Run(ctx context.Context, stdout, stderr io.Writer) error {
	s.out, s.err = stdout, stderr
	s.enough, s.more = make(chan struct{}), make(chan struct{})
	err := s.run(ctx)
	if s.quiet {
		return hush(err)
	}
	return err
}

func (s *Sub) run(ctx context.Context) error {
	cfg, props, err := s.resolve("sub")
	if err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if s.seconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(s.seconds*float64(time.Second)))
		defer cancel()
	}
	cfg.State, cfg.OnMessage = new(client.State), s.receive
	for attempt := 0; ; attempt++ {
		was := time.Now()
		connected, err := s.connection(ctx, cfg, props["subscribe"])
		switch {
		case ctx.Err() != nil:
			return s.ended(ctx)
		case err == nil || s.final(err):
			return coded(err)
		case !connected && attempt == 0:
			return coded(err)
		}
		if time.Since(was) > reconnectMax {
			attempt = 1
		}
		if !s.quiet {
			note(s.err, "connection lost: %v; connecting again", err)
		}
		if !pause(ctx, rand.N(min(reconnectMin<<min(attempt, 5), reconnectMax))) {
			return s.ended(ctx)
		}
	}
}

// prepare checks the flags of sub alone.
func (s *Sub) prepare() (err error) {
	if len(s.topics) == 0 && s.urlTopic != "" {
		s.topics = []string{s.urlTopic}
	}
	if len(s.topics) == 0 && len(s.unsubscribe) == 0 {
		return usage("no topic: give one with -t")
	}
	for _, f := range append(append(append([]string{}, s.topics...), s.filterOut...), s.unsubscribe...) {
		if err := topic.CheckFilter(f, topic.MaxLength); err != nil {
			return usage("filter %q: %w", f, err)
		}
	}
	if s.count < 0 || s.seconds < 0 {
		return usage("-C and -W cannot be negative")
	}
	if s.print, err = ParseFormat(s.layout()); err != nil {
		return usage("-F: %w", err)
	}
	return nil
}

// layout is the format that the flags amount to.
func (s *Sub) layout() string {
	layout := "%p"
	switch {
	case s.format != "":
		layout = s.format
	case s.verbose:
		layout = "%t %p"
	}
	if s.noNewline {
		return layout
	}
	return layout + `\n`
}

// finalError ends the command although it could connect again.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// final tells errors that another attempt would not change.
func (s *Sub) final(err error) bool {
	var final finalError
	return errors.As(err, &final)
}

// ended is the outcome when ctx ended the command.
func (s *Sub) ended(ctx context.Context) error {
	if interrupted(ctx) {
		return nil
	}
	return cli.WithCode(ExitTimeout, fmt.Errorf("timed out after %g s", s.seconds))
}

// connection is one connection from beginning to end. err is nil when the command is done.
func (s *Sub) connection(ctx context.Context, cfg client.Config, props *packet.Properties) (connected bool, err error) {
	s.release = make(chan struct{})
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer func() {
		c.Close(packet.Success)
		close(s.release)
		<-c.Done()
	}()
	s.debugf("connected to %s as %s", cfg.Addr, c.ClientID())
	subscribed := make(chan error, 1)
	go func() { subscribed <- s.subscribe(ctx, c, props) }() // ends with the answer, ctx or the connection, which ends above
	for {
		select {
		case err := <-subscribed:
			if err != nil {
				return true, err
			}
			s.debugf("subscribed")
			if s.exitAfterSub {
				return true, nil
			}
		case <-s.enough: // perhaps before the answer, when messages waited in the session
			return true, s.finish(ctx, c)
		case <-c.Done():
			return true, c.Err()
		case <-ctx.Done():
			return true, ctx.Err()
		}
	}
}

func (s *Sub) debugf(format string, args ...any) {
	if s.debug {
		note(s.err, format, args...)
	}
}

// subscribe fails only when the broker refuses every filter.
func (s *Sub) subscribe(ctx context.Context, c *client.Client, props *packet.Properties) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	if len(s.unsubscribe) > 0 {
		if _, err := c.Unsubscribe(ctx, s.unsubscribe...); err != nil {
			return fmt.Errorf("unsubscribe: %w", err)
		}
	}
	if len(s.topics) == 0 {
		return nil
	}
	var filters []packet.SubscribeFilter
	for _, f := range s.topics {
		filters = append(filters, packet.SubscribeFilter{Filter: f, QoS: byte(s.qos)})
	}
	var with client.SubscribeOptions
	if props != nil {
		with.User = props.User
		if len(props.SubscriptionIDs) > 0 {
			with.ID = props.SubscriptionIDs[0]
		}
	}
	reasons, err := c.SubscribeWith(ctx, with, filters...)
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	return s.checkGranted(reasons)
}

func (s *Sub) checkGranted(reasons []packet.ReasonCode) error {
	refused := 0
	for i, reason := range reasons {
		if reason < 0x80 {
			continue
		}
		refused++
		if !s.quiet {
			note(s.err, "subscription to %s refused: %v", s.topics[i], reason)
		}
	}
	if refused < len(reasons) {
		return nil
	}
	return finalError{&client.Error{Packet: packet.SUBACK, Reason: reasons[0]}}
}

// receive prints one message. What comes after the last one wanted waits until the connection closes, so
// that it is not acknowledged and stays in the session.
func (s *Sub) receive(m *client.Message) {
	select {
	case <-s.enough:
		s.once.Do(func() { close(s.more) })
		<-s.release
		return
	default:
	}
	if m.Retain && s.noRetained || s.hidden(m.Topic) {
		return
	}
	r := Received{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retain, Dup: m.Dup, PacketID: m.PacketID, Props: m.Props, At: time.Now()}
	if s.format == "" && s.verbose && len(m.Payload) == 0 {
		r.Payload = []byte("(null)") // as mosquitto_sub prints it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, s.failed = s.out.Write(s.print.Append(nil, &r)); s.failed == nil {
		s.printed++
	}
	if s.failed != nil || s.count > 0 && s.printed >= s.count {
		close(s.enough)
	}
}

func (s *Sub) hidden(name string) bool {
	for _, f := range s.filterOut {
		if topic.Match(f, name) {
			return true
		}
	}
	return false
}

// finish lets the acknowledgement of the last message leave: an answer from the broker, or a further message, is
// read only after it was written.
func (s *Sub) finish(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	answered := make(chan struct{})
	go func() { // ends with the answer, the connection or ctx; the close of the connection follows below
		defer close(answered)
		_, _ = c.Unsubscribe(ctx, fmt.Sprintf("mangrove/none/%08x", rand.Uint32())) // any answer will do
	}()
	select {
	case <-answered:
	case <-s.more:
	case <-c.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return finalError{fmt.Errorf("print a message: %w", s.failed)}
	}
	return nil
}
