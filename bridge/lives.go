package bridge

import (
	"slices"

	"mangrove/bridge/frame"
)

// What a node numbers, it numbers within a life: one start of its data folder (store.Store.Life). A node knows the lives of its
// folder and takes nothing in again that it numbered in one of them; its neighbours know the latest of them, so that they do not
// send it such messages. Only the node itself decides: what its neighbours do not know is sent in vain.

// ownLives is the set of the lives of this node.
type ownLives map[uint64]struct{}

func newOwnLives(store uint64, lives []uint64) ownLives {
	own := ownLives{store: {}}
	for _, life := range lives {
		own[life] = struct{}{}
	}
	return own
}

// owns tells whether messages of life were numbered by this node.
func (b *Bridge) owns(life uint64) bool {
	_, own := b.own[life]
	return own
}

// kin is the set of the lives of a neighbour, as far as it told them; with its store id, which it had in their place before
// it knew lives. It is never changed.
type kin struct {
	lives []uint64
	mask  uint64 // bit life%64 of each: most strangers are told by it
}

func newKin(store uint64, lives []uint64) *kin {
	k := new(kin)
	for _, life := range append([]uint64{store}, lives...) {
		if life != 0 {
			k.lives = append(k.lives, life)
			k.mask |= 1 << (life % 64)
		}
	}
	return k
}

func (k *kin) has(life uint64) bool {
	return k.mask&(1<<(life%64)) != 0 && slices.Contains(k.lives, life)
}

// lineage is how two lists of lives under one name are related.
type lineage byte

const (
	lineageUnknown lineage = iota // one of them is empty: a node of the version before
	lineageSame                   // the same life runs in both
	lineageLater                  // the second is a later start of the folder that the first ran on, or of a copy made since
	lineageEarlier                // the first is that of the second
	lineageApart                  // neither knows the other: an older image was put back, or both run on copies
)

func lineageOf(was, is []uint64) lineage {
	switch {
	case len(was) == 0 || len(is) == 0:
		return lineageUnknown
	case was[0] == is[0]:
		return lineageSame
	case slices.Contains(is, was[0]):
		return lineageLater
	case slices.Contains(was, is[0]):
		return lineageEarlier
	}
	return lineageApart
}

// lives are those that this node tells others.
func (b *Bridge) lives() []uint64 {
	lives := b.cfg.Store.Lives()
	return lives[:min(len(lives), frame.MaxLives)]
}
