package bridge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"mangrove/bridge/frame"
)

// Whatever gossip says: who is listed is dialled; who was suspect when it went is dialled on, at the address told last, until it is
// forgotten; who was not is let go. Edges are told of who is listed or linked, and nobody who is linked is a suspect.
func TestMembershipModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m, dialled, last := newMembership(), map[string]string{}, map[string]Peer{}
		for step := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			if rapid.IntRange(0, 4).Draw(rt, "kind") == 0 {
				name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "forgotten")
				if _, listed := last[name]; !listed {
					delete(m.lost, name)
					delete(dialled, name)
				}
			}
			next := map[string]Peer{}
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID).Draw(rt, "list") {
				next[name] = Peer{Name: name, Addr: fmt.Sprint(name, step), Suspect: rapid.Bool().Draw(rt, "suspect")}
			}
			for name, p := range last {
				if _, still := next[name]; !still && !p.Suspect {
					delete(dialled, name)
				}
			}
			for name, p := range next {
				dialled[name] = p.Addr
			}
			m.hear(slices.Collect(maps.Values(next)))
			last = next
			got := map[string]string{}
			for name, p := range m.dialled() {
				got[name] = p.Addr
			}
			if !maps.Equal(got, dialled) {
				rt.Fatalf("dials %v, want %v", got, dialled)
			}
			linked := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "linked")
			want := 0
			for name := range dialled {
				if _, listed := next[name]; listed || name == linked {
					want++
				}
			}
			cores := m.told(func(name string) bool { return name == linked })
			for _, c := range cores {
				if c.Suspect != (c.Name != linked && next[c.Name].Suspect) || c.Addr != dialled[c.Name] {
					rt.Fatalf("tells edges of %+v; linked is %s, listed are %v", c, linked, next)
				}
			}
			if len(cores) != want || !slices.IsSortedFunc(cores, func(x, y frame.Core) int { return strings.Compare(x.Name, y.Name) }) {
				rt.Fatalf("tells edges of %v, want %d in order", cores, want)
			}
		}
	})
}

// lose has n hear by gossip that a peer is suspect, and then no more.
func (n *node) lose(peers ...*node) {
	list := []Peer{{Name: n.name, Addr: n.addr}}
	for _, p := range peers {
		list = append(list, Peer{Name: p.name, Addr: p.addr, Suspect: true})
	}
	n.b.SetPeers(list)
	n.b.SetPeers(list[:1])
}

// toldOf waits until an edge is told of these cores, as none of them a suspect.
func (n *node) toldOf(names ...string) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("%s is told of %v", n.name, names), func() bool {
		n.b.uplink.mu.Lock()
		defer n.b.uplink.mu.Unlock()
		var got []string
		for _, c := range n.b.uplink.known {
			if !c.Suspect {
				got = append(got, c.Name)
			}
		}
		return slices.Equal(got, names)
	})
}

// Gossip that is blocked cuts no link that works: messages go on, edges are told of both cores, and a link that breaks is made anew.
func TestGossipOnlySuspects(t *testing.T) {
	cores := newCores(t, "x", "y")
	x, y := cores[0], cores[1]
	b := newEdge(t, "b", x)
	sub := y.subscribe("s", "t", 1)
	x.wantInterest("y", "t", true)
	b.toldOf("x", "y")
	link := x.b.lookup("y").link.Load()
	x.lose(y)
	y.lose(x)
	b.mustPublish("t", 1, "a")
	sub.want(t, "a")
	if x.b.lookup("y").link.Load() != link || !x.status("y").Unheard || !y.status("x").Unheard {
		t.Errorf("got %+v and %+v, want the link of before, unheard of by gossip", x.status("y"), y.status("x"))
	}
	b.toldOf("x", "y")
	y.setDeaf(true)
	x.wantState("y", "connecting")
	b.toldOf("x")
	b.mustPublish("t", 1, "b")
	y.setDeaf(false)
	sub.want(t, "a", "b")
	b.toldOf("x", "y")
	x.restart()
	x.b.SetPeers([]Peer{{Name: "x", Addr: x.addr}})
	x.wantState("y", "up")
	b.dial(x)
	b.mustPublish("t", 1, "c")
	sub.want(t, "a", "b", "c")
	join(x, y)
	if x.status("y").Unheard {
		t.Error("unheard of still, after gossip heard it again")
	}
}

// Who said goodbye is not dialled, nor is who was lost and is forgotten; neither by a later run.
func TestPeerThatIsGoneIsNotDialled(t *testing.T) {
	for _, way := range []string{"said goodbye", "forgotten by the operator", "forgotten with time"} {
		t.Run(way, func(t *testing.T) {
			cores := newCores(t, "x", "y")
			x, y := cores[0], cores[1]
			if way == "said goodbye" {
				x.b.SetPeers([]Peer{{Name: "x", Addr: x.addr}})
			} else {
				x.lose(y)
			}
			y.stop()
			eventually(t, "the link is over", func() bool { return !x.b.lookup("y").Online() })
			switch way {
			case "forgotten by the operator":
				eventually(t, "it is forgotten", func() bool { _, err := x.b.Forget("y"); return err == nil })
			case "forgotten with time":
				eventually(t, "it is forgotten", func() bool {
					if n := x.b.lookup("y"); n != nil {
						n.age(time.Now().Add(DefaultNeighbourExpiry + time.Hour))
					}
					return x.b.lookup("y") == nil
				})
			}
			for _, run := range []string{"this run", "the next one"} {
				x.b.mu.Lock()
				dialling := len(x.b.dialers)
				x.b.mu.Unlock()
				if dialling != 0 {
					t.Errorf("%s: dials %d peers, want none", run, dialling)
				}
				x.restart()
				x.b.SetPeers([]Peer{{Name: "x", Addr: x.addr}})
			}
		})
	}
}
