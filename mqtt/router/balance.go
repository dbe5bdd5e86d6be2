package router

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"strings"

	"mangrove/mqtt"
)

// Balance chooses the member of a shared subscription that gets a message. Each group has its own;
// the group serialises the calls.
type Balance interface {
	// Pick returns an index of members, which is never empty.
	Pick(m *mqtt.Message, members []Member) int
}

// Weigher tells how much of a group's messages a member should get, compared with the others.
// Values below 1 count as 1.
type Weigher func(clientID string) int

// ParseWeight reads "CLIENT=WEIGHT", as in "worker-1=3". The weight is what follows the last '='; it is at least 1.
func ParseWeight(text string) (clientID string, weight int, err error) {
	at := strings.LastIndexByte(text, '=')
	if at < 1 {
		return "", 0, errors.New("want CLIENT=WEIGHT, as worker-1=3")
	}
	weight, err = strconv.Atoi(text[at+1:])
	if err != nil || weight < 1 || weight > maxWeight {
		return "", 0, fmt.Errorf("want a weight from 1 to %d after the last '='", maxWeight)
	}
	return text[:at], weight, nil
}

// maxWeight keeps the sum of a group's weights within an int of 32 bits.
const maxWeight = 10_000

// BalanceNames are the strategies NewBalance knows.
var BalanceNames = []string{"round-robin", "random", "weighted", "hash-client", "hash-topic", "sticky"}

// NewBalance returns the maker of a strategy by its name. weigh is used by "weighted"; nil weighs
// all alike.
func NewBalance(name string, weigh Weigher) (func() Balance, error) {
	if weigh == nil {
		weigh = func(string) int { return 1 }
	}
	makers := map[string]func() Balance{
		"":            newRoundRobin,
		"round-robin": newRoundRobin,
		"random":      func() Balance { return random{} },
		"weighted":    func() Balance { return weighted{weigh} },
		"hash-client": func() Balance { return hashed{maphash.MakeSeed(), publisherOf} },
		"hash-topic":  func() Balance { return hashed{maphash.MakeSeed(), topicOf} },
		"sticky":      func() Balance { return &sticky{} },
	}
	if maker := makers[name]; maker != nil {
		return maker, nil
	}
	return nil, fmt.Errorf("shared subscription strategy %q: allowed are %s", name, strings.Join(BalanceNames, ", "))
}

// roundRobin takes the members in turn.
type roundRobin struct{ next int }

func newRoundRobin() Balance { return &roundRobin{} }

func (b *roundRobin) Pick(_ *mqtt.Message, members []Member) int {
	i := b.next % len(members)
	b.next = i + 1
	return i
}

// random takes any member.
type random struct{}

func (random) Pick(_ *mqtt.Message, members []Member) int { return rand.IntN(len(members)) }

// weighted takes any member, as often as it weighs.
type weighted struct{ weigh Weigher }

func (b weighted) Pick(_ *mqtt.Message, members []Member) int {
	total := 0
	for _, m := range members {
		total += b.weight(m)
	}
	left := rand.IntN(total)
	for i, m := range members {
		if left -= b.weight(m); left < 0 {
			return i
		}
	}
	panic("BUG: weights changed while picking")
}

func (b weighted) weight(m Member) int { return max(1, b.weigh(m.Subscriber.ClientID())) }

// hashed keeps messages of one key with one member, by rendezvous: when a member comes or goes, only
// the keys it gains or loses move.
type hashed struct {
	seed maphash.Seed
	key  func(*mqtt.Message) string
}

func (b hashed) Pick(m *mqtt.Message, members []Member) int {
	key, best, highest := b.key(m), 0, uint64(0)
	for i, member := range members {
		if score := b.score(key, member.Subscriber.ClientID()); score >= highest {
			best, highest = i, score
		}
	}
	return best
}

func (b hashed) score(key, member string) uint64 {
	var h maphash.Hash
	h.SetSeed(b.seed)
	h.WriteString(key)
	h.WriteByte(0) // in neither a client id nor a topic
	h.WriteString(member)
	return h.Sum64()
}

func topicOf(m *mqtt.Message) string { return m.Topic }

// publisherOf is the publishing client, or the neighbour that brought the message.
func publisherOf(m *mqtt.Message) string {
	if m.Publisher != "" {
		return m.Publisher
	}
	return m.From.Name
}

// sticky stays with one member as long as it is a candidate.
type sticky struct{ current mqtt.Subscriber }

func (b *sticky) Pick(_ *mqtt.Message, members []Member) int {
	if i := indexOf(members, b.current); i >= 0 {
		return i
	}
	b.current = members[0].Subscriber
	return 0
}
