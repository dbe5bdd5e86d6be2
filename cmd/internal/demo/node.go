package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Bounds of a node's life.
const (
	readyTime = 20 * time.Second // to say that it is ready
	stopTime  = 12 * time.Second // to stop after SIGTERM; it is killed after that
)

// node is one process. Its methods are for one goroutine.
type node struct {
	name, role string
	binary     string
	dir        string // data, and the log beside it
	args       []string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process and its log have ended
	ready ready
}

// ready is the event of that name in a node's log.
type ready struct {
	Message string   `json:"msg"`
	Listen  []string `json:"listen"`
	Gossip  string   `json:"gossip"`
	HTTP    string   `json:"http"`
}

// mqtt is the node's address for clients, as host:port.
func (r *ready) mqtt() string {
	if len(r.Listen) == 0 {
		return ""
	}
	_, addr, found := strings.Cut(r.Listen[0], "://")
	if !found {
		return r.Listen[0]
	}
	return addr
}

func (n *node) logPath() string { return filepath.Join(n.dir, n.name+".log") }

// start runs the process and waits until it says that it is ready.
func (n *node) start(ctx context.Context, extra ...string) error {
	log, err := os.OpenFile(n.logPath(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	args := append([]string{n.role, "--node", n.name, "--data", filepath.Join(n.dir, n.name), "--log-format", "json"}, n.args...)
	cmd := exec.Command(n.binary, append(args, extra...)...)
	cmd.Stdout = log
	cmd.SysProcAttr = childAttributes()
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		log.Close()
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.cmd, n.ended = cmd, make(chan struct{})
	said := make(chan ready, 1)
	go func() { // ends with the process; kill and stop wait for it
		defer close(n.ended)
		defer log.Close()
		follow(stderr, log, said)
		_ = cmd.Wait() // how a node ended shows in its log; a node that ends early fails the wait below
	}()
	return n.awaitReady(ctx, said)
}

// follow copies a node's log to its file and gives the ready event to said.
func follow(stderr io.Reader, log io.Writer, said chan<- ready) {
	lines := bufio.NewReader(stderr)
	for told := false; ; {
		line, err := lines.ReadBytes('\n')
		if _, werr := log.Write(line); werr != nil {
			_, _ = io.Copy(io.Discard, lines) // the disk is full: the node must not block on its log
			return
		}
		var event ready
		if !told && json.Unmarshal(line, &event) == nil && event.Message == "ready" {
			said <- event
			told = true
		}
		if err != nil {
			return
		}
	}
}

func (n *node) awaitReady(ctx context.Context, said <-chan ready) error {
	timeout := time.NewTimer(readyTime)
	defer timeout.Stop()
	select {
	case n.ready = <-said:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.ended:
		return fmt.Errorf("%s ended before it was ready:\n%s", n.name, n.lastWords())
	case <-timeout.C:
		return fmt.Errorf("%s was not ready after %v:\n%s", n.name, readyTime, n.lastWords())
	}
}

// lastWords is the end of the node's log.
func (n *node) lastWords() string {
	const most = 2000
	log, err := os.ReadFile(n.logPath())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(log[max(0, len(log)-most):]))
}

// running reports whether the process lives.
func (n *node) running() bool {
	if n.cmd == nil {
		return false
	}
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// kill ends the process as kill -9 does, and waits.
func (n *node) kill() error {
	if !n.running() {
		return fmt.Errorf("kill %s: it had ended by itself:\n%s", n.name, n.lastWords())
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", n.name, err)
	}
	<-n.ended
	return nil
}

// terminate asks the process to stop; stop waits for it.
func (n *node) terminate() {
	if n.running() {
		_ = n.cmd.Process.Signal(syscall.SIGTERM) // fails only when the process has just ended
	}
}

// stop waits until a terminated process has ended, and kills it when that takes too long.
func (n *node) stop() error {
	if !n.running() {
		return nil
	}
	timeout := time.NewTimer(stopTime)
	defer timeout.Stop()
	select {
	case <-n.ended:
		return nil
	case <-timeout.C:
		return errors.Join(fmt.Errorf("%s did not stop within %v", n.name, stopTime), n.kill())
	}
}
