package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mangrove/internal/sim"
)

// host is where nodes listen. What dials on this machine dials from 127.0.0.1: so nobody has a node's port as its
// own when the node comes back to it.
const host = "127.0.0.2"

// startTime bounds how long a node may take from exec to its ready line.
const startTime = 20 * time.Second

// ready is the one line a node logs when it accepts clients.
type ready struct {
	Msg    string
	Node   string
	Role   string
	Listen []string
	Gossip string
	HTTP   string
}

// node is one `mangrove edge` or `mangrove core` process and what is needed to start it again.
type node struct {
	t    *testing.T
	args []string
	dir  string
	wrap []string     // a command that runs the node's, as in another network namespace; nil = none
	web  *http.Client // reaches its --http

	cmd   *exec.Cmd
	ready ready
	log   *lockedBuffer
	gone  chan struct{} // closed when the process has been waited for
}

// lockedBuffer collects a process's log while the test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func startCore(t *testing.T, name string, extra ...string) *node {
	t.Helper()
	args := append([]string{"core", "--node", name, "--gossip", host + ":0"}, extra...)
	return startNode(t, args)
}

func startEdge(t *testing.T, name string, cores string, extra ...string) *node {
	t.Helper()
	args := append([]string{"edge", "--node", name, "--core", cores, "--discovery", "static"}, extra...)
	return startNode(t, args)
}

func startNode(t *testing.T, args []string) *node {
	t.Helper()
	n := newNode(t, filepath.Join(t.TempDir(), "data"), args)
	n.start()
	return n
}

// newNode is startNode for a folder of the test's choice; it does not start.
func newNode(t *testing.T, dir string, args []string) *node {
	n := &node{t: t, dir: dir, log: new(lockedBuffer), web: http.DefaultClient}
	n.args = append(args, "--data", n.dir, "--http", host+":0", "--log-format", "json", "--log-level", "debug")
	if !contains(args, "--listen") {
		n.args = append(n.args, "--listen", host+":0")
	}
	t.Cleanup(n.cleanup)
	return n
}

func contains(args []string, want string) bool {
	for _, a := range args {
		if a == want {
			return true
		}
	}
	return false
}

// start runs the process and waits for its ready line.
func (n *node) start() {
	n.t.Helper()
	command := append(slices.Clone(n.wrap), append([]string{binary}, n.args...)...)
	n.cmd = exec.Command(command[0], command[1:]...)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		n.t.Fatalf("pipe stderr: %v", err)
	}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatalf("start %v: %v", n.args, err)
	}
	lines, cmd := make(chan ready, 1), n.cmd
	gone := make(chan struct{})
	n.gone = gone
	go func() { // ends with the process; stop and kill wait for it through gone
		defer close(gone)
		n.follow(stderr, lines)
		cmd.Wait()
	}()
	select {
	case n.ready = <-lines:
	case <-n.gone:
		n.t.Fatalf("%v ended before it was ready:\n%s", n.args, n.log)
	case <-time.After(startTime):
		n.t.Fatalf("%v was not ready within %v:\n%s", n.args, startTime, n.log)
	}
}

// startFails runs a node that cannot start to its end.
func (n *node) startFails() (code int, log string) {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, n.args...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		n.t.Fatalf("%v: got %v, want it to end with an error\n%s", n.args, err, out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// follow copies the log and hands on the ready line.
func (n *node) follow(stderr io.Reader, found chan<- ready) {
	for sc := bufio.NewScanner(stderr); sc.Scan(); {
		n.log.Write([]byte(sc.Text() + "\n"))
		var r ready
		if json.Unmarshal(sc.Bytes(), &r) == nil && r.Msg == "ready" {
			found <- r
		}
	}
}

// addr is the first client address as host:port.
func (n *node) addr() string { return strings.TrimPrefix(n.ready.Listen[0], "tcp://") }

// kill is kill -9.
func (n *node) kill() {
	n.t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Fatalf("kill %s: %v", n.ready.Node, err)
	}
	<-n.gone
}

// stop is SIGTERM; it tells the exit code.
func (n *node) stop() int {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatalf("terminate %s: %v", n.ready.Node, err)
	}
	select {
	case <-n.gone:
	case <-time.After(10 * time.Second):
		n.t.Fatalf("%s did not stop within 10 s of SIGTERM:\n%s", n.ready.Node, n.log)
	}
	return n.cmd.ProcessState.ExitCode()
}

// ended waits for a node to end by itself, and tells its exit code.
func (n *node) ended(within time.Duration) (code int, ended bool) {
	select {
	case <-n.gone:
		return n.cmd.ProcessState.ExitCode(), true
	case <-time.After(within):
		return 0, false
	}
}

// restart starts the node again on the addresses it had, with the data it had.
func (n *node) restart() {
	n.t.Helper()
	n.keepAddresses()
	n.start()
}

// keepAddresses has the next start use the addresses of this one.
func (n *node) keepAddresses() {
	n.pin("--listen", n.addr())
	if n.ready.Gossip != "" {
		n.pin("--gossip", n.ready.Gossip)
	}
	n.pin("--http", n.ready.HTTP)
}

// killWhileStarting starts the node again and kills it at a random moment, most likely before it is ready.
func (n *node) killWhileStarting() {
	n.t.Helper()
	n.keepAddresses()
	cmd := exec.Command(binary, n.args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("start %v: %v", n.args, err)
	}
	randomly(time.Millisecond, 60*time.Millisecond)
	if err := cmd.Process.Kill(); err != nil {
		n.t.Fatalf("kill %s while it starts: %v", n.ready.Node, err)
	}
	cmd.Wait() // it was killed
}

// pin replaces the value of a flag.
func (n *node) pin(flag, value string) {
	for i, a := range n.args {
		if a == flag {
			n.args[i+1] = value
		}
	}
}

func (n *node) cleanup() {
	if n.cmd == nil || n.cmd.Process == nil {
		return
	}
	n.cmd.Process.Kill() // the error says that it has ended already
	if n.gone != nil {
		<-n.gone
	}
	if strings.Contains(n.log.String(), "DATA RACE") {
		n.t.Errorf("%v: the race detector found a race", n.args[:3])
	}
	if n.t.Failed() {
		n.t.Logf("log of %v:\n%s", n.args[:3], tail(n.log.String(), 60))
	}
}

func tail(s string, lines int) string {
	all := strings.Split(s, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// status is the part of /api/v1/status that tests look at.
type status struct {
	Node          string
	Clients       int
	Subscriptions int
	Retained      int
	Out           int            `json:"messages_out"`
	Queued        int            `json:"queued_messages"`
	Drops         map[string]int // by reason
	Full          []struct {
		Kind, Name string
		Dropped    int
	}
	Members []struct{ Name, State string }
	Links   []struct {
		Name     string
		State    string
		Since    time.Time // of the state
		Address  string
		Backlog  int `json:"backlog_messages"`
		Sent     int
		Received int
		Repeats  int
		Unheard  bool `json:"gossip_lost"`
	}
}

func (n *node) status() (s status) {
	n.t.Helper()
	if err := json.Unmarshal(n.get("/api/v1/status"), &s); err != nil {
		n.t.Fatalf("decode status of %s: %v", n.ready.Node, err)
	}
	return s
}

func (n *node) get(path string) []byte {
	n.t.Helper()
	resp, err := n.web.Get("http://" + n.ready.HTTP + path)
	if err != nil {
		n.t.Fatalf("get %s of %s: %v", path, n.ready.Node, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatalf("read %s of %s: %v", path, n.ready.Node, err)
	}
	return b
}

// linksUp counts the links that are up.
func (n *node) linksUp() (up int) {
	n.t.Helper()
	for _, l := range n.status().Links {
		if l.State == "up" {
			up++
		}
	}
	return up
}

// backlog sums the messages that wait for the node's links.
func (n *node) backlog() (sum int) {
	n.t.Helper()
	for _, l := range n.status().Links {
		sum += l.Backlog
	}
	return sum
}

// startProxy puts a network that can be cut in front of target.
func startProxy(t *testing.T, target string) *sim.Proxy {
	t.Helper()
	p, err := sim.StartProxy(sim.ProxyConfig{Target: target})
	if err != nil {
		t.Fatalf("start proxy: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// eventually polls ok until it holds.
func eventually(t *testing.T, why string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", why)
		case <-tick.C:
		}
	}
}
