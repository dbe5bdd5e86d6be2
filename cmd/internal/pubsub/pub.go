package pubsub

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"mangrove/cmd/internal/cli"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// maxPayload bounds what pub reads from a file, a line or standard input: the most a packet can hold.
const maxPayload = 256<<20 - 1

// Pub is the command pub.
type Pub struct {
	options
	topic, message, file string
	lines, stdin, null   bool
	retain               bool
	repeat               int
	delay                float64
	inflight             int

	mu      sync.Mutex
	refused error // the first
}

// Bind adds the flags to fs.
func (p *Pub) Bind(fs *pflag.FlagSet) {
	p.bind(fs)
	fs.StringVarP(&p.topic, "topic", "t", "", "topic to publish to")
	fs.StringVarP(&p.message, "message", "m", "", "the message")
	fs.StringVarP(&p.file, "file", "f", "", "the message is in this file")
	fs.BoolVarP(&p.lines, "stdin-line", "l", false, "each line of standard input is a message")
	fs.BoolVarP(&p.stdin, "stdin-file", "s", false, "the whole standard input is the message")
	fs.BoolVarP(&p.null, "null-message", "n", false, "an empty message; with -r it forgets the retained one")
	fs.BoolVarP(&p.retain, "retain", "r", false, "retain the message")
	fs.IntVar(&p.repeat, "repeat", 1, "publish this often, with -m, -f, -n and -s")
	fs.Float64Var(&p.delay, "repeat-delay", 0, "seconds between repeats")
	fs.IntVarP(&p.inflight, "max-inflight", "M", 0, "QoS 1 and 2 messages under way at once (default 128)")
}

// Run publishes, waits until everything is acknowledged, and disconnects.
func (p *Pub) Run(ctx context.Context, stdin io.Reader, stderr io.Writer) error {
	err := p.run(ctx, stdin, stderr)
	if p.quiet {
		return hush(err)
	}
	return err
}

func (p *Pub) run(ctx context.Context, stdin io.Reader, stderr io.Writer) error {
	cfg, props, err := p.resolve("pub")
	if err != nil {
		return err
	}
	cfg.MaxInflight = p.inflight
	if p.topic == "" {
		p.topic = p.urlTopic
	}
	if err := p.checkSources(); err != nil {
		return err
	}
	payload, err := p.payload(stdin)
	if err != nil {
		return err
	}
	c, err := client.Dial(ctx, cfg)
	if err != nil {
		return coded(err)
	}
	if p.debug {
		note(stderr, "connected to %s as %s", cfg.Addr, c.ClientID())
	}
	err = p.send(ctx, c, props["publish"], payload, stdin)
	if err != nil {
		c.Close(packet.Success)
		<-c.Done()
	} else {
		err = c.Disconnect(ctx)
	}
	return p.outcome(err, stderr)
}

func (p *Pub) checkSources() error {
	given := 0
	for _, flag := range []string{"message", "file", "stdin-line", "stdin-file", "null-message"} {
		if p.flags.Changed(flag) {
			given++
		}
	}
	switch {
	case p.topic == "":
		return usage("no topic: give one with -t")
	case given != 1:
		return usage("say what to publish with exactly one of -m, -f, -l, -s and -n")
	case p.repeat < 1 || p.delay < 0:
		return usage("--repeat is at least 1, --repeat-delay not negative")
	case p.lines && p.repeat > 1:
		return usage("--repeat does not go with -l")
	}
	return nil
}

// payload reads the message; nil for -l and -n.
func (p *Pub) payload(stdin io.Reader) ([]byte, error) {
	from := stdin
	switch {
	case p.flags.Changed("message"):
		return []byte(p.message), nil
	case p.file != "":
		f, err := os.Open(p.file)
		if err != nil {
			return nil, usage("-f: %w", err)
		}
		defer f.Close()
		from = f
	case !p.stdin:
		return nil, nil
	}
	b, err := io.ReadAll(io.LimitReader(from, maxPayload+1))
	if err != nil {
		return nil, fmt.Errorf("read the message: %w", err)
	}
	if len(b) > maxPayload {
		return nil, usage("the message is larger than the %d bytes a packet can hold", maxPayload)
	}
	return b, nil
}

// send hands everything to the client; the acknowledgements come later.
func (p *Pub) send(ctx context.Context, c *client.Client, props *packet.Properties, payload []byte, stdin io.Reader) error {
	if p.lines {
		return p.sendLines(ctx, c, props, stdin)
	}
	for i := range p.repeat {
		if i > 0 && p.delay > 0 && !pause(ctx, time.Duration(p.delay*float64(time.Second))) {
			return ctx.Err()
		}
		if err := p.sendOne(c, props, payload); err != nil {
			return err
		}
	}
	return nil
}

// sendLines ends with its input, or when ctx or the connection ends: the reader of the input is then left
// behind, since a terminal cannot be interrupted.
func (p *Pub) sendLines(ctx context.Context, c *client.Client, props *packet.Properties, stdin io.Reader) error {
	lines := make(chan []byte)
	var failed error
	go func() { // ends with its input or with the process; nobody waits
		defer close(lines)
		in := bufio.NewScanner(stdin)
		in.Buffer(nil, maxPayload)
		in.Split(splitLines)
		for in.Scan() {
			lines <- bytes.Clone(in.Bytes())
		}
		failed = in.Err()
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return failed
			}
			if err := p.sendOne(c, props, line); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-c.Done():
			return c.Err()
		}
	}
}

// splitLines is bufio.ScanLines that keeps a carriage return: it is part of the message.
func splitLines(data []byte, atEOF bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

func (p *Pub) sendOne(c *client.Client, props *packet.Properties, payload []byte) error {
	m := &client.Message{Topic: p.topic, Payload: payload, QoS: byte(p.qos), Retain: p.retain, Props: props}
	return c.PublishAsync(m, func(_ packet.ReasonCode, err error) {
		if err == nil {
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.refused == nil {
			p.refused = err
		}
	})
}

// outcome is the first refusal, else how the connection ended.
func (p *Pub) outcome(err error, stderr io.Writer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var refused *client.Error
	switch {
	case errors.As(p.refused, &refused):
		return coded(p.refused)
	case errors.Is(err, context.Canceled):
		return cli.WithCode(exitInterrupted, errors.New("interrupted"))
	case err != nil:
		return coded(fmt.Errorf("publish: %w", err))
	case p.refused != nil:
		return coded(fmt.Errorf("publish: %w", p.refused))
	}
	if p.debug {
		note(stderr, "done")
	}
	return nil
}

// exitInterrupted is the shell's code for Ctrl-C.
const exitInterrupted = 130

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
