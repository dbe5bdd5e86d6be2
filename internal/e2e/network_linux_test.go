package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	mqttclient "mangrove/mqtt/client"
)

// Addresses of the two machines; they exist in their namespaces only.
const (
	edgeAddress = "192.0.2.1"
	coreAddress = "192.0.2.2"
)

// machine is a network namespace: a host of its own as far as the network goes.
type machine struct {
	t    *testing.T
	name string // of the namespace
	port string // of its end of the cable
}

// startMachines makes two machines and a cable between them. Nothing of it is in the namespace of the test.
func startMachines(t *testing.T) (a, b *machine) {
	t.Helper()
	needRoot(t, "ip", "tc", "nft")
	a = newMachine(t, "a")
	b = newMachine(t, "b")
	systemOrSkip(t, "ip", "-n", a.name, "link", "add", a.port, "type", "veth", "peer", "name", b.port, "netns", b.name)
	a.configure(edgeAddress)
	b.configure(coreAddress)
	return a, b
}

func newMachine(t *testing.T, suffix string) *machine {
	m := &machine{t: t, name: fmt.Sprintf("mangrove-%d-%s", os.Getpid(), suffix), port: "cable-" + suffix}
	systemOrSkip(t, "ip", "netns", "add", m.name)
	t.Cleanup(func() { system(t, "ip", "netns", "del", m.name) }) // the cable goes with it
	return m
}

func (m *machine) configure(address string) {
	m.t.Helper()
	system(m.t, "ip", "-n", m.name, "address", "add", address+"/24", "dev", m.port)
	system(m.t, "ip", "-n", m.name, "link", "set", m.port, "up")
	system(m.t, "ip", "-n", m.name, "link", "set", "lo", "up")
}

// lose drops what comes to the machine over the cable: rule says what of it, as nftables has it.
func (m *machine) lose(rule string) {
	m.t.Helper()
	m.rules(fmt.Sprintf("table ip bad {\nchain in {\ntype filter hook input priority 0\niifname %q %s counter drop\n}\n}\n", m.port, rule))
}

// mend ends lose, which must have dropped something.
func (m *machine) mend() {
	m.t.Helper()
	out, err := exec.Command("ip", "netns", "exec", m.name, "nft", "list", "ruleset").Output()
	if err != nil {
		m.t.Fatalf("list rules: %v", err)
	}
	_, after, _ := strings.Cut(string(out), "counter packets ")
	dropped, _, _ := strings.Cut(after, " ")
	if dropped == "" || dropped == "0" {
		m.t.Errorf("got no packet dropped, want a bad line:\n%s", out)
	}
	m.t.Logf("%s packets dropped on their way to %s", dropped, m.port)
	m.rules("flush ruleset\n")
}

func (m *machine) rules(script string) {
	m.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", m.name, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Skipf("this kernel cannot %q: %v: %s", script, err, out)
	}
}

// narrow bounds what the machine sends: rate as tc has it, "" = no bound any more.
func (m *machine) narrow(rate string) {
	m.t.Helper()
	if rate == "" {
		system(m.t, "tc", "-n", m.name, "qdisc", "del", "dev", m.port, "root")
		return
	}
	systemOrSkip(m.t, "tc", "-n", m.name, "qdisc", "add", "dev", m.port, "root", "tbf", "rate", rate, "burst", "4kb", "latency", "400ms")
}

// node starts a node on the machine. Test clients reach it by a unix socket, which knows no namespaces.
func (m *machine) node(args ...string) *node {
	m.t.Helper()
	dir := m.t.TempDir()
	n := newNode(m.t, filepath.Join(dir, "data"), append(args, "--listen", "unix://"+filepath.Join(dir, "s")))
	n.wrap = []string{"ip", "netns", "exec", m.name}
	n.web = &http.Client{Transport: &http.Transport{DialContext: m.dial, DisableKeepAlives: true}}
	n.start()
	return n
}

// dial dials from the machine: a socket belongs to the namespace of the thread that made it.
func (m *machine) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + m.name)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, err
	}
	defer func() {
		if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
			panic("cannot come back from namespace " + m.name + ": " + err.Error())
		}
	}()
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// span is an edge and a core on two machines.
type span struct {
	onEdge, onCore *machine
	edge, core     *node
	*load
}

// startSpan loads the way from the edge to the core and back.
func startSpan(t *testing.T) *span {
	t.Helper()
	s := new(span)
	s.onEdge, s.onCore = startMachines(t)
	link := coreAddress + ":1884"
	s.core = s.onCore.node("core", "--node", "core-1", "--gossip", "127.0.0.1:0", "--allow-anonymous", "--listen", link, "--advertise", link)
	s.edge = s.onEdge.node("edge", "--node", "edge-a", "--core", link, "--discovery", "static")
	eventually(t, "the edge is linked", func() bool { return s.edge.linksUp() == 1 })
	s.load = startLoad(t)
	for _, qos := range []byte{1, 2} {
		s.way(fmt.Sprintf("up%d", qos), s.edge, s.core, qos)
		s.way(fmt.Sprintf("down%d", qos), s.core, s.edge, qos)
	}
	s.arrived()
	return s
}

// way subscribes at one node and publishes at another once the interest is known.
func (s *span) way(name string, from, to *node, qos byte) {
	s.t.Helper()
	s.subscribe(taker{addr: to.socket(), id: "display-" + name, filter: name + "/#", qos: qos})
	eventually(s.t, "the interest in "+name+" is known", func() bool { return s.knows(from, name, qos) })
	s.publish(flow{addr: from.socket(), id: "sensor-" + name, topic: name + "/t", qos: qos, pace: 10 * time.Millisecond}, "display-"+name)
}

// knows publishes a probe under name and tells whether a link carried it or an earlier one.
func (s *span) knows(from *node, name string, qos byte) bool {
	before := linkSent(from)
	c := connectAs(s.t, mqttclient.Config{Addr: from.socket(), ClientID: "probe-" + name})
	if _, err := publishBounded(c, name+"/probe", "probe", qos); err != nil {
		s.t.Fatalf("probe %s: %v", name, err)
	}
	c.Abort()
	<-c.Done()
	return linkSent(from) > before
}

// linkSent sums the messages sent over a node's links.
func linkSent(n *node) (sum int) {
	for _, l := range n.status().Links {
		sum += l.Sent
	}
	return sum
}

// socket is the node's unix socket.
func (n *node) socket() string {
	for _, a := range n.ready.Listen {
		if strings.HasPrefix(a, "unix://") {
			return a
		}
	}
	return n.addr()
}

// wantOnce settles the load and wants everything once: no client has lost its connection.
func (s *span) wantOnce() {
	s.t.Helper()
	sum := s.settle(90*time.Second, s.edge, s.core)
	sum.check(s.t)
	sum.checkOnce(s.t)
	s.t.Logf("links recognised %d repeats", repeats(s.edge, s.core))
}

func TestP1FaultLossyLine(t *testing.T) {
	s := startSpan(t)
	for range scaled(1, 4) {
		s.onEdge.lose("numgen random mod 100 < 20")
		s.onCore.lose("numgen random mod 100 < 20")
		during(scaled(3*time.Second, 15*time.Second))
		s.onEdge.mend()
		s.onCore.mend()
		during(scaled(500*time.Millisecond, 2*time.Second))
	}
	s.wantOnce()
}

func TestP1FaultNarrowLine(t *testing.T) {
	s := startSpan(t)
	s.onEdge.narrow("64kbit")
	s.onCore.narrow("64kbit")
	during(scaled(2*time.Second, 20*time.Second))
	s.onEdge.narrow("")
	s.onCore.narrow("")
	s.wantOnce()
}

// First the core hears nothing while the edge hears the core; then the other way round. In the long form each lasts
// until the keep-alive has noticed it.
func TestP1FaultOneWayPartition(t *testing.T) {
	s := startSpan(t)
	for _, deaf := range []*machine{s.onCore, s.onEdge} {
		deaf.lose("ip protocol tcp")
		during(scaled(1500*time.Millisecond, 40*time.Second))
		deaf.mend()
		eventually(t, "traffic flows again", func() bool { return s.edge.linksUp() == 1 && s.edge.backlog()+s.core.backlog() < 100 })
	}
	s.wantOnce()
}

// Gossip between two cores is blocked, and nothing else: the link stays up, messages flow, and status, metric and log tell of it.
func TestP2FaultGossipBlocked(t *testing.T) {
	if !scaled(false, true) {
		t.Skip("long: gossip gives a core up after seconds, and its link would be given up after a minute")
	}
	s := new(span)
	s.onEdge, s.onCore = startMachines(t)
	start := func(m *machine, name, address string, more ...string) *node {
		args := []string{"core", "--node", name, "--gossip", address + ":7946", "--gossip-insecure", "--allow-anonymous",
			"--listen", address + ":1884", "--advertise", address + ":1884"}
		return m.node(append(args, more...)...)
	}
	core1 := start(s.onEdge, "core-1", edgeAddress)
	core2 := start(s.onCore, "core-2", coreAddress, "--join", edgeAddress+":7946")
	cores := []*node{core1, core2}
	eventually(t, "the cores are linked", func() bool { return core1.linksUp() == 1 && core2.linksUp() == 1 })
	s.load = startLoad(t)
	s.way("there", core1, core2, 2)
	s.way("back", core2, core1, 2)
	s.arrived()
	since := core1.status().Links[0].Since

	for _, m := range []*machine{s.onEdge, s.onCore} {
		m.lose("meta l4proto { tcp, udp } th dport 7946")
	}
	during(80 * time.Second)
	for _, n := range cores {
		l := n.status().Links[0]
		if l.State != "up" || !l.Unheard || n.metric("mangrove_links_without_gossip") != 1 {
			t.Errorf("%s: got link %+v, want it up and gossip lost", n.ready.Node, l)
		}
		if told := strings.Count(n.log.String(), "gossip has lost a core whose link is up"); told != 1 {
			t.Errorf("%s: the log tells of it %d times, want once", n.ready.Node, told)
		}
	}
	received := core1.status().Links[0].Received
	eventually(t, "messages flow", func() bool { return core1.status().Links[0].Received > received+100 })
	s.onEdge.mend()
	s.onCore.mend()
	for _, n := range cores {
		eventually(t, n.ready.Node+" hears gossip again", func() bool { return n.metric("mangrove_links_without_gossip") == 0 })
	}
	if now := core1.status().Links[0].Since; now.Sub(since).Abs() > time.Second { // the two clocks that it comes from drift apart a little
		t.Errorf("the link is up since %v, want since %v: it was cut", now, since)
	}
	sum := s.settle(wait, core1, core2)
	sum.checkOnce(t)
}

// during lets a fault last.
func during(d time.Duration) { <-time.After(d) }
