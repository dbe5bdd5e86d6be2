package bridge

import (
	"encoding/binary"
	"fmt"
	"time"

	"mangrove/mqtt"
)

// record is what is kept of a neighbour in table Neighbours, by name:
//
//	version   1
//	fields    uvarint each: number, store, scope, attach, settled, last seen (Unix s), moved since (Unix s, 0 = not)
//	moved to  uvarint length, bytes
//	cores     as in a CORES frame; of an edge's uplink only
type record struct {
	num      uint64 // its rows in tables LinkQueues and Interest
	store    uint64 // 0 = not met yet
	scope    mqtt.Scope
	attach   uint64 // of an edge: its latest attachment known here; of the uplink: our own
	settled  uint64 // the latest attachment that HELLO completed (of the uplink), or that all peers know of (of an edge)
	lastSeen time.Time
	moved    time.Time // an edge that is at another core since then; zero = not
	movedTo  string
	cores    []Core
}

const recordVersion = 1

// uplinkName is the name of "the cores" as the one neighbour of an edge.
const uplinkName = "$cores"

func (r *record) append(dst []byte) []byte {
	dst = append(dst, recordVersion)
	for _, v := range []uint64{r.num, r.store, uint64(r.scope), r.attach, r.settled, unix(r.lastSeen), unix(r.moved)} {
		dst = binary.AppendUvarint(dst, v)
	}
	dst = appendString(dst, r.movedTo)
	return appendCores(dst, r.cores)
}

func decodeRecord(name string, b []byte) (rec record, err error) {
	r := reader{b: b}
	if v := r.byte(); v != recordVersion && r.err == nil {
		r.fail(fmt.Errorf("version %d, known is %d", v, recordVersion))
	}
	rec = record{num: r.uvarint(), store: r.uvarint(), scope: mqtt.Scope(r.count(0xFF)), attach: r.uvarint(), settled: r.uvarint()}
	rec.lastSeen, rec.moved = fromUnix(r.uvarint()), fromUnix(r.uvarint())
	rec.movedTo = r.string(maxName)
	if r.err == nil {
		rec.cores, r.err = decodeCores(r.b)
	}
	if r.err != nil {
		return rec, fmt.Errorf("decode record of neighbour %q: %w", name, r.err)
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
