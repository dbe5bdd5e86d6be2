package mqtt

import (
	"cmp"

	"mangrove/internal/hlc"
)

// Version orders the retained messages of one topic, clearings included: by time, then by origin. No two of them
// compare as equal.
type Version struct {
	Time   hlc.Time
	Origin Origin
}

// VersionOf is m's.
func VersionOf(m *Message) Version { return Version{m.Version, m.Origin} }

// Compare is negative when v is older than o, 0 when they are the same, positive when v is newer.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Time, o.Time), cmp.Compare(v.Origin.Life, o.Origin.Life), cmp.Compare(v.Origin.Seq, o.Origin.Seq))
}

// Held is what a node knows of one topic's retained message.
type Held struct {
	Topic   string
	Version Version
	Cleared bool // nothing is there since then
	Here    bool // clients of this node publish to it, or did so before
}
