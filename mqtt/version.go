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
	return cmp.Or(cmp.Compare(v.Time, o.Time), cmp.Compare(v.Origin.Store, o.Origin.Store), cmp.Compare(v.Origin.Seq, o.Origin.Seq))
}
