package matrix

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"mangrove/mqtt/packet"
)

const (
	startTime = time.Minute // of a broker, until it accepts
	stopTime  = time.Minute // after SIGTERM; then it is killed
)

// broker is a running process with a folder of its own.
type broker struct {
	cmd     *exec.Cmd
	peer    *found
	core    int
	set     setting
	metrics bool // shows them
	addr    string
	folder  string
	log     bytes.Buffer
	ended   chan struct{} // closed when the process has ended
}

// startBroker starts p afresh on a core, as a case wants it, and waits until it accepts.
func startBroker(ctx context.Context, p *found, under string, core int, c *Case) (*broker, error) {
	folder, err := os.MkdirTemp(under, "bench-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for %s: %w", p.Name, err)
	}
	b := &broker{peer: p, core: core, folder: folder, metrics: c.Metrics, set: setting{folder: folder, durable: c.Durable, tls: c.TLS, usual: c.Usual}}
	if c.TLS {
		err = writeCert(folder)
	}
	if err := errors.Join(err, b.start(ctx)); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", p.Name, err), b.remove())
	}
	return b, nil
}

// start starts the process in its folder, where it may have been before.
func (b *broker) start(ctx context.Context) error {
	port, err := freePort()
	if err != nil {
		return err
	}
	b.addr, b.set.port = fmt.Sprintf("127.0.0.1:%d", port), port
	if b.metrics {
		if port, err = freePort(); err != nil {
			return err
		}
		b.set.metrics = fmt.Sprintf("127.0.0.1:%d", port)
	}
	args, err := b.peer.Config(b.set)
	if err != nil {
		return err
	}
	b.cmd, b.ended = exec.Command(b.peer.binary, args...), make(chan struct{})
	b.log.Reset()
	b.cmd.Stdout, b.cmd.Stderr = &b.log, &b.log
	if err := startOn(b.core, b.cmd); err != nil {
		return err
	}
	go func(cmd *exec.Cmd, ended chan struct{}) { // ends with the process; stop waits for it
		defer close(ended)
		cmd.Wait() // how it ended shows in what the generator says
	}(b.cmd, b.ended)
	if err := b.accepting(ctx); err != nil {
		return errors.Join(err, b.stop())
	}
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

// accepting waits until the broker accepts an MQTT connection.
func (b *broker) accepting(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	try := time.NewTicker(5 * time.Millisecond)
	defer try.Stop()
	for {
		err := b.greet(ctx)
		if err == nil {
			return nil
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

// greet connects once, as a client without a session.
func (b *broker) greet(ctx context.Context) error {
	var nc net.Conn
	var err error
	if b.set.tls {
		nc, err = (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(ctx, "tcp", b.addr)
	} else {
		nc, err = new(net.Dialer).DialContext(ctx, "tcp", b.addr)
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	end, _ := ctx.Deadline() // there is one
	nc.SetDeadline(end)
	hello := packet.Connect{Version: packet.V311, CleanStart: true, ClientID: "bench-first"}
	if _, err := nc.Write(hello.Append(nil, packet.V311)); err != nil {
		return err
	}
	var connack [4]byte
	if _, err := io.ReadFull(nc, connack[:]); err != nil {
		return err
	}
	_, err = nc.Write(new(packet.Disconnect).Append(nil, packet.V311))
	return err
}

// stop ends the process.
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
	return nil
}

// remove removes the folder of a broker that has ended.
func (b *broker) remove() error { return os.RemoveAll(b.folder) }
