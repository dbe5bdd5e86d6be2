package bridge

import (
	"maps"
	"slices"
	"strings"

	"mangrove/bridge/frame"
)

// membership is which other cores there are. Gossip says who came and who said goodbye; whether somebody it does not hear of
// any more is gone, links decide.
//
//	        ┌──────── said goodbye ────────→ (gone)
//	listed ─┤                                  ▲
//	  ▲     └ suspect for too long ─→ lost ────┘ forgotten, see Bridge.age and Bridge.Forget
//	  └───────── gossip hears it ──────┘ ▲
//	                      an earlier run ┘
//
// It is pure; Bridge.mu guards it.
type membership struct {
	listed map[string]Peer // this node among them, as it was told
	lost   map[string]Peer // dialled on at their last address; edges are told of those whose link is up
}

func newMembership() membership {
	return membership{listed: map[string]Peer{}, lost: map[string]Peer{}}
}

// hear takes the list of gossip, and says who said goodbye, and whom gossip has lost with this list.
func (m *membership) hear(peers []Peer) (left, lost []string) {
	listed := make(map[string]Peer, len(peers))
	for _, p := range peers {
		if p.Name != "" {
			listed[p.Name] = p
			delete(m.lost, p.Name)
		}
	}
	for name, p := range m.listed {
		if _, still := listed[name]; still {
			continue
		}
		if p.Suspect {
			m.lost[name] = p
			lost = append(lost, name)
		} else {
			left = append(left, name)
		}
	}
	m.listed = listed
	slices.Sort(left)
	slices.Sort(lost)
	return left, lost
}

// dialled are the cores that are to be reached, by name, those at no known address left out.
func (m *membership) dialled() map[string]Peer {
	all := maps.Clone(m.lost)
	maps.Copy(all, m.listed)
	maps.DeleteFunc(all, func(_ string, p Peer) bool { return p.Addr == "" })
	return all
}

// told is what edges are told: who is listed, and whose link is up. Whose link is up is no suspect.
func (m *membership) told(up func(name string) bool) (cores []frame.Core) {
	for name, p := range m.dialled() {
		linked := up(name)
		if _, listed := m.listed[name]; listed || linked {
			cores = append(cores, frame.Core{Name: name, Addr: p.Addr, Weight: p.Weight, Suspect: p.Suspect && !linked})
		}
	}
	slices.SortFunc(cores, func(x, y frame.Core) int { return strings.Compare(x.Name, y.Name) })
	return cores[:min(len(cores), frame.MaxCores)]
}
