package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// parts are what was opened, in order.
type parts struct{ opened []part }

type part struct {
	name  string
	close func(context.Context) error
}

func (p *parts) add(name string, fn func(context.Context) error) {
	p.opened = append(p.opened, part{name, fn})
}

// close closes the last opened first. One that fails does not keep the others open.
func (p *parts) close(ctx context.Context, log *slog.Logger) error {
	var errs []error
	for i := len(p.opened) - 1; i >= 0; i-- {
		part, began := p.opened[i], time.Now()
		if err := part.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", part.name, err))
		}
		log.Debug("closed", "part", part.name, "took", time.Since(began).String())
	}
	p.opened = nil
	return errors.Join(errs...)
}
