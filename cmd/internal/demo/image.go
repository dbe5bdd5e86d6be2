package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// imageMessages is how many messages an edge takes before and after an old image of it is put back.
const imageMessages = 200

// imageTime bounds the wait for what must arrive.
const imageTime = 15 * time.Second

// imageReport is what came of putting an old image of an edge back.
type imageReport struct {
	edge, at       string // who published, who listened
	acked, arrived int    // messages; each is counted once
}

func (r *imageReport) OK() bool { return r.arrived == r.acked }

func (r *imageReport) String() string {
	return fmt.Sprintf("%s on an old image of itself: %d of %d acknowledged messages arrived at %s", r.edge, r.arrived, r.acked, r.at)
}

// putBack is the last act, when the devices are gone. An edge is stopped and an image is taken of its folder, as of an SD card. It works
// on; then it is stopped and the image is put back. It numbers its messages again as it did before, and all arrive.
func (s *system) putBack(ctx context.Context) (*imageReport, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*imageTime)
	defer cancel()
	edge, at := 0, s.nodes()[0]
	if len(s.edges) > 1 {
		at = s.edges[len(s.edges)-1]
	}
	n, heard := s.edges[edge], &arrivals{seen: map[string]bool{}}
	r := &imageReport{edge: n.name, at: at.name}
	listener, err := heard.listen(ctx, at.ready.mqtt())
	if err != nil {
		return nil, err
	}
	defer listener.Close(packet.Success)
	data, image := filepath.Join(n.dir, n.name), filepath.Join(n.dir, n.name+".image")
	steps := []struct {
		says string
		do   func() error
	}{
		{"", func() error { return s.rest(ctx, edge, func() error { return os.CopyFS(image, os.DirFS(data)) }) }},
		{fmt.Sprintf("%s: an image was taken; it goes on for %d messages", n.name, imageMessages),
			func() error { return s.publishMore(ctx, n, r, heard) }},
		{fmt.Sprintf("%s: the image is put back, from before those", n.name), func() error {
			return s.rest(ctx, edge, func() error { return errors.Join(os.RemoveAll(data), os.CopyFS(data, os.DirFS(image))) })
		}},
		{"", func() error { return s.publishMore(ctx, n, r, heard) }},
	}
	for _, step := range steps {
		if step.says != "" {
			s.cfg.Screen.Event("%s", step.says)
		}
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("put an old image of %s back: %w", n.name, err)
		}
	}
	return r, nil
}

// rest stops an edge in order, does something to its folder, and starts it again.
func (s *system) rest(ctx context.Context, edge int, do func() error) error {
	n := s.edges[edge]
	n.terminate()
	if err := errors.Join(n.stop(), do()); err != nil {
		return err
	}
	_, err := s.restart(ctx, edge)
	return err
}

// publishMore publishes at n and waits until what it acknowledged has arrived, or too much time has passed.
func (s *system) publishMore(ctx context.Context, n *node, r *imageReport, heard *arrivals) error {
	c, err := client.Dial(ctx, client.Config{Addr: n.ready.mqtt(), ClientID: "demo-image", Clean: true})
	if err != nil {
		return err
	}
	defer c.Close(packet.Success)
	for range imageMessages {
		m := &client.Message{Topic: imageTopic + n.name, Payload: fmt.Append(nil, r.acked), QoS: 1}
		if _, err := c.Publish(ctx, m); err != nil {
			return err
		}
		r.acked++
	}
	for end := time.Now().Add(imageTime); heard.count() < r.acked && time.Now().Before(end); {
		if !sleep(ctx, 10*time.Millisecond) {
			break
		}
	}
	r.arrived = heard.count()
	return nil
}

const imageTopic = "demo/image/"

// arrivals are the different messages that arrived.
type arrivals struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (a *arrivals) listen(ctx context.Context, addr string) (*client.Client, error) {
	c, err := client.Dial(ctx, client.Config{Addr: addr, ClientID: "demo-image-listener", Clean: true, OnMessage: func(m *client.Message) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.seen[string(m.Payload)] = true
	}})
	if err == nil {
		_, err = c.Subscribe(ctx, packet.SubscribeFilter{Filter: imageTopic + "#", QoS: 1})
	}
	return c, err
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}
