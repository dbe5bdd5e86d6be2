package bridge

import (
	"encoding/binary"
	"errors"
	"fmt"

	"mangrove/bridge/frame"
	"mangrove/bridge/interest"
	"mangrove/bridge/lane"
	"mangrove/internal/batch"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// interestKey is where a filter of a neighbour lies in table Interest.
func interestKey(num uint64, filter string) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, 8+len(filter)), num), filter...)
}

// loadWants reads the interest that was announced before the restart and registers it. What goes up is for
// configuration to say; the uplink's rows are remote_interest.go's.
func (n *neighbour) loadWants() error {
	if n.scope == mqtt.ScopeUplink {
		return nil
	}
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	err := n.b.cfg.Store.Scan(batch.Interest, interestKey(n.rec.num, ""), interestKey(n.rec.num+1, ""), func(k, v []byte) bool {
		if len(k) > 8 && len(v) == 1 && v[0] <= 2 {
			n.wants.Put(string(k[8:]), v[0])
		} else if string(k[8:]) == trimmedKey {
			n.trimmed.Store(true)
		} else if len(k) > 8 && len(v) > 1 {
			n.loadStay(string(k[8:]), v)
		}
		return true // what is damaged is missing in the digest, and announced again
	})
	if err != nil {
		return fmt.Errorf("load interest of neighbour %q: %w", n.name, err)
	}
	taker := n.takerLocked()
	for filter, qos := range n.wants.All() {
		n.subscribe(taker, filter, qos)
	}
	return nil
}

// takerLocked is who stands in the Router for the neighbour; the caller holds wantsMu.
func (n *neighbour) takerLocked() mqtt.Subscriber {
	if n.snapshot().moved.IsZero() || n.past.Load() != nil {
		return n
	}
	return &n.ghost
}

func (n *neighbour) subscribe(s mqtt.Subscriber, filter string, qos byte) {
	n.b.cfg.Router.Subscribe(s, mqtt.Subscription{Filter: filter, QoS: qos, RetainAsPublished: true})
}

// hear takes an INTEREST frame. complete tells that no snapshot is under way.
func (n *neighbour) hear(f frame.Interest) (complete bool, err error) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	if f.First {
		n.incoming = new(interest.Set)
	}
	if n.incoming == nil {
		return true, n.changeLocked(f.Entries)
	}
	for _, w := range f.Entries {
		n.incoming.Put(w.Filter, w.QoS)
	}
	if n.incoming.Len() > n.b.cfg.MaxInterest {
		n.incoming = nil
		return false, errTooManyFilters
	}
	if !f.Last {
		return false, nil
	}
	changes := n.wants.Changes(n.incoming)
	n.incoming = nil
	return true, n.changeLocked(changes)
}

var errTooManyFilters = errors.New("interest has too many filters")

// changeLocked registers changes of interest, then keeps them. An edge is sent the retained messages of filters that are
// new; the filter is kept in the last batch of those.
func (n *neighbour) changeLocked(changes []frame.Want) error {
	writes := new(batch.Batch)
	defer func() { n.b.cfg.Store.Commit(writes) }() // always: replay has queued what is in it, see lane.Queue.Append
	taker := n.takerLocked()
	for _, w := range changes {
		if !mayWant(w.Filter) {
			continue
		}
		if w.Gone {
			n.b.cfg.Router.Unsubscribe(taker, w.Filter)
			n.wants.Remove(w.Filter)
			n.keep.Remove(w.Filter)
			writes.Delete(batch.Interest, interestKey(n.rec.num, w.Filter))
		} else {
			writes = n.wantLocked(taker, w, writes)
		}
		if writes.Size() > replayBatch {
			n.b.cfg.Store.Commit(writes)
			writes = new(batch.Batch)
		}
		if n.wants.Len() > n.b.cfg.MaxInterest {
			return errTooManyFilters
		}
	}
	return nil
}

func (n *neighbour) wantLocked(taker mqtt.Subscriber, w frame.Want, writes *batch.Batch) *batch.Batch {
	n.subscribe(taker, w.Filter, w.QoS)
	if n.stops {
		n.keep.Put(w.Filter, w.QoS)
	}
	if _, existed := n.wants.Put(w.Filter, w.QoS); !existed && n.scope == mqtt.ScopeEdge {
		writes = n.replay(w.Filter, w.QoS, writes)
	}
	writes.Put(batch.Interest, interestKey(n.rec.num, w.Filter), []byte{w.QoS})
	return writes
}

// mayWant tells whether a neighbour may ask for filter.
func mayWant(filter string) bool {
	return topic.CheckFilter(filter, topic.MaxLength) == nil && topic.MaySubscribe(filter, topic.Link)
}

// forgetWants drops all interest: a fresh node has taken the name.
func (n *neighbour) forgetWants(writes *batch.Batch) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	taker := n.takerLocked()
	for filter := range n.wants.All() {
		n.b.cfg.Router.Unsubscribe(taker, filter)
	}
	n.wants, n.incoming = interest.Set{}, nil
	writes.DeleteRange(batch.Interest, interestKey(n.rec.num, ""), interestKey(n.rec.num+1, ""))
}

// wantsTopic tells whether a message on a topic is for the neighbour.
func (n *neighbour) wantsTopic(name string) bool {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	return n.wants.Matches(name)
}

// wanted lists the filters that the neighbour is interested in.
func (n *neighbour) wanted() (filters []string) {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	for filter := range n.wants.All() {
		filters = append(filters, filter)
	}
	return filters
}

// held sums up the interest that this node holds of the neighbour.
func (n *neighbour) held() frame.Digest {
	n.wantsMu.Lock()
	defer n.wantsMu.Unlock()
	return n.wants.Digest()
}

// replayBatch is the size in bytes at which a batch of retained messages is committed and another begun.
const replayBatch = 256 << 10

// replay queues the retained messages that match filter. It returns the batch to go on with: earlier ones
// are committed.
func (n *neighbour) replay(filter string, qos byte, writes *batch.Batch) *batch.Batch {
	if n.b.cfg.Retained == nil {
		return writes
	}
	var topics []string
	n.b.cfg.Retained.Match(filter, n.b.cfg.Now(), func(m *mqtt.Message) bool {
		if topic.Crosses(m.Topic) && !n.kin.Load().has(m.Origin.Life) {
			topics = append(topics, m.Topic)
		}
		return true
	})
	for _, name := range topics {
		r := mqtt.NewReceipt(writes, nil)
		n.queue.AddFresh(func() *mqtt.Message { return n.b.retained(name) }, qos, frame.ItemReplay, r)
		if r.Err() != nil {
			n.b.metrics.dropped(lane.DropQueueFull, 1)
		}
		r.Close()
		if writes.Size() > replayBatch {
			n.b.cfg.Store.Commit(writes)
			writes = new(batch.Batch)
		}
	}
	return writes
}

// retained finds the retained message of one topic, with a body id; nil when there is none.
func (b *Bridge) retained(name string) (found *mqtt.Message) {
	if b.cfg.Retained == nil {
		return nil
	}
	b.cfg.Retained.Match(name, b.cfg.Now(), func(m *mqtt.Message) bool {
		found = m
		return false
	})
	if found != nil && found.ID == 0 {
		numbered := *found
		numbered.ID = b.cfg.Store.NextID()
		return &numbered
	}
	return found
}
