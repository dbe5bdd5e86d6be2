package bridge

import (
	"encoding/binary"
	"fmt"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/bytesread"
	"mangrove/mqtt"
)

// record is what is kept of a neighbour in table Neighbours, by name:
//
//	version   2
//	fields    uvarint each: number, store, scope, attach, settled, last seen (Unix s), moved since (Unix s, 0 = not)
//	moved to  uvarint length, bytes
//	lives     uvarint count, 8 bytes each; none in version 1
//	cores     as in a CORES frame; of an edge's uplink only
type record struct {
	num      uint64   // its rows in tables LinkQueues and Interest
	store    uint64   // 0 = not met yet
	lives    []uint64 // as it told them, the running one first; nil = it knows none. Never changed in place
	scope    mqtt.Scope
	attach   uint64 // of an edge: its latest attachment known here; of the uplink: our own
	settled  uint64 // the latest attachment that HELLO completed (of the uplink), or that all peers know of (of an edge)
	lastSeen time.Time
	moved    time.Time // an edge that is at another core since then; zero = not
	movedTo  string
	cores    []frame.Core
}

const recordVersion = 2

// uplinkName is the name of "the cores" as the one neighbour of an edge.
const uplinkName = "$cores"

// Names that no node has, since they begin with reserved.
const (
	reserved   = "$"
	pastPrefix = "$past/" // before what a past is called in table Neighbours and in Bridge.neighbours
	stayPrefix = "$edge/" // before an edge's name in the keys of table Interest, where no filter begins with it
)

func (r *record) append(dst []byte) []byte {
	dst = append(dst, recordVersion)
	for _, v := range []uint64{r.num, r.store, uint64(r.scope), r.attach, r.settled, unix(r.lastSeen), unix(r.moved)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = frame.AppendPrefixed(dst, r.movedTo)
	dst = binary.AppendUvarint(dst, uint64(len(r.lives)))
	for _, life := range r.lives {
		dst = binary.BigEndian.AppendUint64(dst, life)
	}
	return frame.AppendCores(dst, r.cores)
}

func decodeRecord(name string, b []byte) (rec record, err error) {
	r := bytesread.New(b)
	v := r.Uint8()
	if (v == 0 || v > recordVersion) && r.Err() == nil {
		r.Fail(fmt.Errorf("version %d, known is %d", v, recordVersion))
	}
	rec = record{num: r.Uvarint(), store: r.Uvarint(), scope: mqtt.Scope(r.Count(0xFF)), attach: r.Uvarint(), settled: r.Uvarint()}
	rec.lastSeen, rec.moved = fromUnix(r.Uvarint()), fromUnix(r.Uvarint())
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

func unix(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 1))
}

func fromUnix(v uint64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.Unix(int64(v), 0)
}
