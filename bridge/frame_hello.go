package bridge

import (
	"encoding/binary"
	"errors"
)

// hello is the first frame of each side: the dialler's first, then the other's.
//
//	version  1
//	fields   repeated: uvarint tag, uvarint length, bytes; a tag that is not known is skipped
type hello struct {
	name   string
	store  uint64
	role   Role
	attach uint64     // of an edge: rises with each attempt to attach to a core
	last   attachment // of an edge: where it was attached before
	held   digest     // the interest of the receiver that the sender holds, so that it need not be told again

	window      int // messages of the durable lane that the sender takes before it acknowledges
	windowBytes int
	maxBytes    int // of the messages in one frame
}

// attachment is one stay of an edge at a core.
type attachment struct{ store, attach uint64 }

const (
	tagName        = 1
	tagStore       = 2
	tagRole        = 3
	tagAttach      = 4
	tagHeldCount   = 5
	tagHeldSum     = 6
	tagWindow      = 7
	tagWindowBytes = 8
	tagMaxBytes    = 9
	tagLastStore   = 10
	tagLastAttach  = 11
)

func (h *hello) append(dst []byte) []byte {
	dst = append(dst, frameVersion)
	dst = binary.AppendUvarint(dst, tagName)
	dst = appendString(dst, h.name)
	for _, f := range []struct{ tag, value uint64 }{
		{tagStore, h.store},
		{tagRole, h.role.code()},
		{tagAttach, h.attach},
		{tagHeldCount, h.held.count},
		{tagHeldSum, h.held.sum},
		{tagWindow, uint64(h.window)},
		{tagWindowBytes, uint64(h.windowBytes)},
		{tagMaxBytes, uint64(h.maxBytes)},
		{tagLastStore, h.last.store},
		{tagLastAttach, h.last.attach},
	} {
		dst = binary.AppendUvarint(dst, f.tag)
		value := binary.AppendUvarint(nil, f.value)
		dst = appendString(dst, value)
	}
	return dst
}

func decodeHello(b []byte) (h hello, err error) {
	r := reader{b: b}
	r.version()
	for len(r.b) > 0 {
		tag := r.uvarint()
		field := reader{b: r.bytes(len(r.b))}
		h.field(tag, &field)
		if field.err != nil {
			r.fail(field.err)
		}
	}
	if r.err == nil {
		r.err = h.check()
	}
	return h, r.done(kindHello)
}

func (h *hello) field(tag uint64, r *reader) {
	switch tag {
	case tagName:
		if len(r.b) > maxName {
			r.fail(errors.New("name is too long"))
		}
		h.name = string(r.b)
	case tagStore:
		h.store = r.uvarint()
	case tagRole:
		h.role = roleOf(r.uvarint())
	case tagAttach:
		h.attach = r.uvarint()
	case tagHeldCount:
		h.held.count = r.uvarint()
	case tagHeldSum:
		h.held.sum = r.uvarint()
	case tagWindow:
		h.window = r.count(maxSize)
	case tagWindowBytes:
		h.windowBytes = r.count(maxSize)
	case tagMaxBytes:
		h.maxBytes = r.count(maxSize)
	case tagLastStore:
		h.last.store = r.uvarint()
	case tagLastAttach:
		h.last.attach = r.uvarint()
	}
}

func (h *hello) check() error {
	switch {
	case h.name == "":
		return errors.New("no name")
	case h.store == 0:
		return errors.New("no store id")
	case h.role == "":
		return errors.New("no role that is known")
	case h.window == 0 || h.windowBytes == 0 || h.maxBytes == 0:
		return errors.New("no room for messages")
	}
	return nil
}
