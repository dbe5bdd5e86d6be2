package bridge

import (
	"errors"
	"fmt"

	"mangrove/internal/store"
)

// bodies visits the message bodies of ids, in that order. One that is missing or damaged on the disk is nil: it is for the
// caller to drop and count that message, so that the others go on. body is valid only during the call of visit, which
// must not call the Store.
func (b *Bridge) bodies(ids []uint64, visit func(i int, body []byte)) error {
	for next := 0; next < len(ids); next++ {
		from := next
		err := b.cfg.Store.Bodies(ids[from:], func(i int, body []byte) bool {
			visit(from+i, body)
			next = from + i + 1
			return true
		})
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, store.ErrDamaged):
			return fmt.Errorf("read message bodies: %w", err)
		}
		b.cfg.Log.Error("message body cannot be read", "error", err)
		visit(next, nil)
	}
	return nil
}
