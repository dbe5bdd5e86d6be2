package store

import (
	"bytes"
	"cmp"
	"hash/crc32"

	"mangrove/internal/batch"
	"mangrove/internal/store/tree"
)

// layer is what changed in the tables since some moment, on top of what lies below it: the layer that is being checkpointed, and bbolt.
// Keys and values are in their stored forms.
type layer struct {
	tables [batch.LastTable + 1]tree.Tree[record]
	bodies tree.Tree[kept]
}

// record is the newest state of one key.
type record struct {
	key   []byte
	value []byte // nil = removed
	below bool   // a layer below, or bbolt, has the key: removing it must leave a trace
}

// kept is the newest state of one message body.
type kept struct {
	id    uint64
	refs  int   // 0 = gone
	below bool  // a layer below, or bbolt, has the body
	place place // of its bytes; the zero place = below
}

// place is where in the log the bytes of a body are.
type place struct {
	record   uint64
	at, size uint32
	sum      uint32 // CRC32C
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumOf is what a place remembers of the bytes of a body.
func sumOf(body []byte) uint32 { return crc32.Checksum(body, castagnoli) }

// delta is a layer with what the writer knows of it.
type delta struct {
	layer
	era    *tree.Era
	last   uint64 // log record up to which it holds
	limit  uint64 // numbers reserved by the log, see ids; 0 = none
	text   arena  // keys and values, also of records that were replaced since: no more than was logged
	memory int    // bytes, estimated
	logged int64  // bytes of log records in it
	growth int    // bytes by which the database will grow; negative when it shrinks
	pin    *pin
	record record // what setRecord looks for and sets
	kept   kept   // the same for setBody
}

// pin counts the readers that may look for bodies in the log records up to last. Store.deltas guards it.
type pin struct {
	readers int
	last    uint64
}

// What an item takes in memory beside its key and value, which are counted with text.
const (
	recordOverhead = 120
	bodyOverhead   = 72
)

func newDelta(last uint64) *delta {
	d := &delta{era: new(tree.Era), last: last, pin: new(pin)}
	for t := range d.tables {
		d.tables[t] = tree.New(func(a, b *record) int { return bytes.Compare(a.key, b.key) })
	}
	d.bodies = tree.New(func(a, b *kept) int { return cmp.Compare(a.id, b.id) })
	return d
}

// share returns the layer as it is now, which later changes leave alone.
func (d *delta) share() *layer {
	d.era = new(tree.Era)
	l := d.layer
	return &l
}

// setRecord copies key and value. old is the stored value the key has had, nil = none.
func (d *delta) setRecord(t batch.Table, key, value []byte, below bool, old int) {
	table, r := &d.tables[t], &d.record
	*r = record{key: key, below: below}
	if before := table.Get(r); before != nil {
		d.memory -= recordOverhead
	}
	d.growth += cost(key, len(value), value != nil) - cost(key, old, old > 0)
	if value == nil && !below {
		table.Remove(d.era, r)
		return
	}
	before := d.text.size
	both := d.text.take(len(key) + len(value))
	copy(both[copy(both, key):], value)
	r.key = both[:len(key):len(key)]
	if value != nil {
		r.value = both[len(key):]
	}
	table.Set(d.era, r)
	d.memory += d.text.size - before + recordOverhead
}

// cost is about what a record takes in the database.
func cost(key []byte, value int, there bool) int {
	if !there {
		return 0
	}
	return len(key) + value + elementSize
}

func (d *delta) setBody(state kept, size, before int) {
	k := &d.kept
	*k = state
	if d.bodies.Get(k) != nil {
		d.memory -= bodyOverhead
	}
	switch {
	case before == 0 && k.refs > 0:
		d.growth += size + 8 + elementSize
	case before > 0 && k.refs == 0:
		d.growth -= size + 8 + elementSize
	}
	if k.refs == 0 && !k.below {
		d.bodies.Remove(d.era, k)
		return
	}
	d.bodies.Set(d.era, k)
	d.memory += bodyOverhead
}
