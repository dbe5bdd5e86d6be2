package topic

import (
	"fmt"
	"runtime"
	"testing"
)

// subscriber and terms are as large as the keys and values that package broker has.
type subscriber interface{ ClientID() string }

type sleeper struct{ id string }

func (s *sleeper) ClientID() string { return s.id }

type terms struct {
	_ uint32
	_ [4]byte
}

// subscription is as large as mqtt.Subscription.
type subscription struct {
	filter string
	_      terms
}

// What an entry takes, apart from its filter's string, which is the caller's.
func TestMemoryOfAnEntry(t *testing.T) {
	const n = 100_000
	own, pairs, every := make([]string, n), make([]string, n), make([]string, n)
	for i := range n {
		own[i], every[i] = fmt.Sprintf("fleet/site/device-%09d/set", i), "fleet/all"
		pairs[i] = fmt.Sprintf("fleet/site/device-%09d/%d", i/2, i%2)
	}
	who := make([]*sleeper, n)
	for i := range who {
		who[i] = &sleeper{}
	}
	t.Run("filter of its own", func(t *testing.T) {
		wantBytes(t, 90, who, own, func(string) terms { return terms{} })
	})
	t.Run("filter of its own in the value too", func(t *testing.T) {
		wantBytes(t, 105, who, own, func(filter string) subscription { return subscription{filter: filter} })
	})
	t.Run("one of two below a level of their own", func(t *testing.T) {
		wantBytes(t, 180, who, pairs, func(string) terms { return terms{} })
	})
	t.Run("one of many subscribers", func(t *testing.T) {
		wantBytes(t, 50, who, every, func(string) terms { return terms{} })
	})
}

func wantBytes[V any](t *testing.T, most float64, who []*sleeper, filters []string, value func(string) V) {
	before := heap()
	tree := new(Tree[subscriber, V])
	for i, filter := range filters {
		tree.Set(filter, who[i], value(filter))
	}
	got := float64(heap()-before) / float64(len(filters))
	t.Logf("%.0f bytes", got)
	if got > most {
		t.Errorf("got %.1f bytes for each of %d entries, want at most %.0f", got, len(filters), most)
	}
	runtime.KeepAlive(filters)
	runtime.KeepAlive(tree)
}

// heap is the bytes in use after two collections: one alone may leave what a pool or a cycle under way still held.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
