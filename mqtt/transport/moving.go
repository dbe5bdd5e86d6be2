package transport

import (
	"context"
	"net"
	"time"
)

// enough is how many bytes within the patience of WhileMoving are progress: more than a PINGRESP now and then.
const enough = 64

// WhileMoving returns a context that ends when ctx does, or when hardly a byte has crossed c for as long as patience. Where
// the kernel cannot tell, it ends after patience. stop frees what it holds; it must be called.
func WhileMoving(ctx context.Context, c net.Conn, patience time.Duration) (moving context.Context, stop context.CancelFunc) {
	moving, cancel := context.WithCancelCause(ctx)
	go func() { // ends with moving
		before, _ := MovedOn(c)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		for {
			select {
			case <-moving.Done():
				return
			case <-timer.C:
			}
			now, ok := MovedOn(c)
			if !ok || now.Since(before) < enough {
				cancel(context.DeadlineExceeded)
				return
			}
			before = now
			timer.Reset(patience)
		}
	}()
	return moving, func() { cancel(nil) }
}
