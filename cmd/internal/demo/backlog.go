package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// backlog asks each node once per second how much waits for its links, for the live line. A node that
// does not answer has none to show.
type backlog struct {
	client http.Client
	names  []string
	urls   []string

	mu      sync.Mutex
	waiting map[string]int
}

const backlogEvery = time.Second

func newBacklog(nodes []*node) *backlog {
	b := &backlog{client: http.Client{Timeout: backlogEvery / 2}, waiting: map[string]int{}}
	for _, n := range nodes {
		b.names = append(b.names, n.name)
		b.urls = append(b.urls, "http://"+n.ready.HTTP+"/api/v1/status")
	}
	return b
}

// run asks until ctx ends.
func (b *backlog) run(ctx context.Context) {
	defer b.client.CloseIdleConnections()
	for sleep(ctx, backlogEvery) {
		for i, name := range b.names {
			n := b.ask(ctx, b.urls[i])
			b.mu.Lock()
			b.waiting[name] = n
			b.mu.Unlock()
		}
	}
}

func (b *backlog) ask(ctx context.Context, url string) (waiting int) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	var status struct {
		Links []struct {
			BacklogMessages int `json:"backlog_messages"`
		} `json:"links"`
	}
	if json.NewDecoder(resp.Body).Decode(&status) != nil {
		return 0
	}
	for _, l := range status.Links {
		waiting += l.BacklogMessages
	}
	return waiting
}

// showBacklog is how much must wait to be worth a word: some messages are always between two disks.
const showBacklog = 20

func (b *backlog) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, name := range b.names {
		if n := b.waiting[name]; n >= showBacklog {
			fmt.Fprintf(&s, " │ %d queued at %s", n, name)
		}
	}
	return s.String()
}
