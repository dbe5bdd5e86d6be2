package bridge

import (
	"encoding/binary"
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/bytesread"
	"mangrove/internal/due"
	"mangrove/internal/hlc"
	"mangrove/mqtt"
)

// record is what is kept of a neighbour in table Neighbours, by name:
//
//	version   3
//	fields    uvarint each: number, store, scope, attach, settled, last seen, moved since (stored time, 0 = not)
//	moved to  uvarint length, bytes
//	lives     uvarint count, 8 bytes each; none in version 1
//	cores     as in a CORES frame: of an edge's uplink those that it was told of, of a peer itself, at its last address
//
// Before version 3 the two times were Unix seconds of the wall clock.
type record struct {
	num      uint64   // its rows in tables LinkQueues and Interest
	store    uint64   // 0 = not met yet
	lives    []uint64 // as it told them, the running one first; nil = it knows none. Never changed in place
	scope    mqtt.Scope
	attach   uint64    // of an edge: its latest attachment known here; of the uplink: our own
	settled  uint64    // the latest attachment that HELLO completed (of the uplink), or that all peers know of (of an edge)
	lastSeen time.Time // it and moved are steady: a wall clock that is set does not make them older
	moved    time.Time // an edge that is at another core since then; zero = not
	movedTo  string    // of an edge: the core that it is at then; of the uplink: the address that is tried first; "" = none
	cores    []frame.Core
}

const recordVersion = 3

// uplinkName is the name of "the cores" as the one neighbour of an edge.
const uplinkName = "$cores"

// Names that no node has, since they begin with reserved.
const (
	reserved   = "$"
	pastPrefix = "$past/"   // before what a past is called in table Neighbours and in Bridge.neighbours
	trimmedKey = "$trimmed" // in the keys of table Interest: neighbour.trimmed
	stayPrefix = "$edge/"   // before an edge's name in the keys of table Interest, where no filter begins with it
)

func (r *record) append(dst []byte, clock due.Clock) []byte {
	dst = append(dst, recordVersion)
	for _, v := range []uint64{r.num, r.store, uint64(r.scope), r.attach, r.settled, stamp(clock, r.lastSeen), stamp(clock, r.moved)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = frame.AppendPrefixed(dst, r.movedTo)
	dst = binary.AppendUvarint(dst, uint64(len(r.lives)))
	for _, life := range r.lives {
		dst = binary.BigEndian.AppendUint64(dst, life)
	}
	return frame.AppendCores(dst, r.cores)
}

// decodeRecord reads a record at now, a time of the clock that does not jump.
func decodeRecord(name string, b []byte, clock due.Clock, now time.Time) (rec record, err error) {
	r := bytesread.New(b)
	v := r.Uint8()
	if (v == 0 || v > recordVersion) && r.Err() == nil {
		r.Fail(fmt.Errorf("version %d, known is %d", v, recordVersion))
	}
	rec = record{num: r.Uvarint(), store: r.Uvarint(), scope: mqtt.Scope(r.Count(0xFF)), attach: r.Uvarint(), settled: r.Uvarint()}
	for _, t := range []*time.Time{&rec.lastSeen, &rec.moved} {
		switch at := r.Uvarint(); {
		case at == 0:
		case v >= 3:
			*t = clock.Time(int64(at))
		default:
			*t = fromUnix(at, now)
		}
	}
	rec.movedTo = r.Text(frame.MaxName)
	if v >= 2 {
		for n := r.Count(frame.MaxLives); n > 0; n-- {
			rec.lives = append(rec.lives, r.Uint64())
		}
	}
	if err = r.Err(); err == nil {
		rec.cores, err = frame.DecodeCores(r.Rest())
	}
	if err != nil {
		return rec, fmt.Errorf("decode record of neighbour %q: %w", name, err)
	}
	return rec, nil
}

// stamp is t as it is kept; 0 = zero.
func stamp(clock due.Clock, t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(clock.Stamp(t), 1))
}

// fromUnix is a time of an earlier version, as seen from now. The wall clock of then or of now may not have been set: the time is
// now then, since it is better to know somebody for too long.
func fromUnix(seconds uint64, now time.Time) time.Time {
	ago := now.Unix() - int64(seconds)
	if int64(seconds)*1000 < hlc.Unset || now.UnixMilli() < hlc.Unset || ago < 0 {
		return now
	}
	return now.Add(-time.Duration(min(ago, maxAgo)) * time.Second)
}

// maxAgo is longer ago than anything that is kept.
const maxAgo = 100 * 365 * 24 * 3600

// spare sees to it that neither bound is over before an eighth of it is left: the node was away itself, and nobody could come. How
// long it was away is what the wall clock shows, which may be wrong.
func (r *record) spare(now time.Time, expiry, linger time.Duration) {
	bound := expiry
	if r.scope == mqtt.ScopeEdge {
		bound = linger
	}
	r.lastSeen = later(r.lastSeen, now.Add(expiry/8-expiry))
	if !r.moved.IsZero() {
		r.moved = later(r.moved, now.Add(bound/8-bound))
	}
}

func later(x, y time.Time) time.Time {
	if x.Before(y) {
		return y
	}
	return x
}
