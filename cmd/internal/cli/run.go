package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"mangrove/cmd/internal/config"
	"mangrove/cmd/internal/systemd"
	"mangrove/internal/node"
	"mangrove/internal/store"
)

// closeTime is how long a node may take to flush and close before the process gives up on it.
const closeTime = 6 * time.Second

// Node is a role: *edge.Node or *core.Node.
type Node interface {
	Start(ctx context.Context) error
	// Failed gives the error that ended the node from inside, such as a failed disk.
	Failed() <-chan error
	Addrs() node.Addrs
	Close(ctx context.Context) error
}

// Run starts n, says so, waits for SIGTERM, SIGINT or a failure, and closes n. It returns when
// everything is closed; a second signal ends the process at once.
func Run(n Node, c *config.Config, log *slog.Logger) error {
	paceCollections()
	limitMemory(log)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)

	stopped, err := start(n, signals, log)
	if err != nil || stopped {
		return startError(c.Place(err))
	}
	giveBack()
	defer giveBackWhenCalm()()
	sayReady(n, string(c.Role), log)
	err = wait(n, signals, log)
	defer force(signals, log)()
	return errors.Join(err, closeNode(n, log))
}

// start starts n. A signal meanwhile ends the attempt: stopped is true and n is closed.
func start(n Node, signals <-chan os.Signal, log *slog.Logger) (stopped bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- n.Start(ctx) }() // ends with Start; both ways below wait for it
	select {
	case err := <-started:
		return false, err
	case s := <-signals:
		log.Info("stopping while starting", "signal", s.String())
	}
	defer force(signals, log)()
	cancel()
	if err := <-started; err != nil {
		log.Debug("start given up", "err", err) // Start has undone what it had done
		return true, nil
	}
	return true, closeNode(n, log)
}

// startError tells a setting that cannot be from other failures.
func startError(err error) error {
	var fault *node.ConfigError
	if errors.As(err, &fault) {
		return WithCode(ExitUsage, err)
	}
	return failure(err)
}

// failure tells a disk that does not take writes from other failures.
func failure(err error) error {
	for _, broken := range []error{syscall.EROFS, syscall.EIO, store.ErrFatal, store.ErrWrite} {
		if errors.Is(err, broken) {
			return WithCode(ExitStorage, err)
		}
	}
	return WithCode(ExitFailed, err)
}

// sayReady writes the one line that scripts wait for.
func sayReady(n Node, role string, log *slog.Logger) {
	a := n.Addrs()
	log.Info("ready", "node", a.Node, "role", role, "listen", a.Listen, "gossip", a.Gossip, "http", a.HTTP,
		"data", a.Data, "version", Version())
	if err := systemd.Ready(); err != nil {
		log.Warn("service manager not told", "err", err)
	}
}

// wait returns nil after a signal, else why the node failed.
func wait(n Node, signals <-chan os.Signal, log *slog.Logger) error {
	select {
	case s := <-signals:
		log.Info("stopping", "signal", s.String())
		return nil
	case err := <-n.Failed():
		log.Error("failed", "err", err)
		return WithCode(ExitStorage, err)
	}
}

func closeNode(n Node, log *slog.Logger) error {
	if err := systemd.Stopping(); err != nil {
		log.Warn("service manager not told", "err", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	began := time.Now()
	if err := n.Close(ctx); err != nil {
		return failure(fmt.Errorf("stop: %w", err))
	}
	log.Info("stopped", "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// force ends the process at the next signal, until end is called.
func force(signals <-chan os.Signal, log *slog.Logger) (end func()) {
	over, gone := make(chan struct{}), make(chan struct{})
	go func() { // ended and awaited by end
		defer close(gone)
		select {
		case s := <-signals:
			log.Error("ended at once by a second signal", "signal", s.String())
			os.Exit(ExitForced)
		case <-over:
		}
	}()
	return func() { close(over); <-gone }
}
