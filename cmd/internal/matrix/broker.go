package matrix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"
)

const (
	startTime = 10 * time.Second // of a broker, until it accepts
	stopTime  = 10 * time.Second // after SIGTERM; then it is killed
)

// broker is a running process with a folder of its own.
type broker struct {
	cmd    *exec.Cmd
	addr   string
	folder string
	log    bytes.Buffer
	ended  chan struct{} // closed when the process has ended
}

// startBroker starts p afresh on a core and waits until it accepts.
func startBroker(ctx context.Context, p *found, under string, core int, durable bool) (*broker, error) {
	folder, err := os.MkdirTemp(under, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", p.Name, err)
	}
	b := &broker{folder: folder, ended: make(chan struct{})}
	if err := b.start(p, core, durable); err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	if err := b.accepting(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), b.stop())
	}
	return b, nil
}

func (b *broker) start(p *found, core int, durable bool) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	b.addr = fmt.Sprintf("127.0.0.1:%d", port)
	args, err := p.Config(b.folder, port, durable)
	if err != nil {
		return err
	}
	b.cmd = exec.Command(p.binary, args...)
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := startOn(core, b.cmd); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	go func() { // ends with the process; stop waits for it
		defer close(b.ended)
		b.cmd.Wait() // how it ended shows in what the generator says
	}()
	return nil
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// accepting waits until the broker accepts connections.
func (b *broker) accepting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	try := time.NewTicker(5 * time.Millisecond)
	defer try.Stop()
	for {
		conn, err := net.Dial("tcp", b.addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-try.C:
		case <-b.ended:
			return fmt.Errorf("it ended at once: %s", b.log.Bytes())
		case <-ctx.Done():
			return fmt.Errorf("it does not accept connections: %w", err)
		}
	}
}

// stop ends the process and removes its folder.
func (b *broker) stop() error {
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop broker: %w", err)
	}
	patience := time.NewTimer(stopTime)
	defer patience.Stop()
	select {
	case <-b.ended:
	case <-patience.C:
		if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("kill broker: %w", err)
		}
		<-b.ended
	}
	return os.RemoveAll(b.folder)
}
