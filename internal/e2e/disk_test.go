package e2e

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	mqttclient "mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// smallDisk is a file system of its own for a data folder.
type smallDisk struct {
	t   *testing.T
	dir string
}

// mountExt4 makes a disk of 64 MB in a file. It can fill up and break like a real one.
func mountExt4(t *testing.T) *smallDisk {
	needRoot(t, "mkfs.ext4", "mount", "umount")
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	system(t, "mkfs.ext4", "-q", "-m", "0", image)
	return mount(t, "-o", "loop", image)
}

func mountTmpfs(t *testing.T) *smallDisk {
	needRoot(t, "mount", "umount")
	return mount(t, "-t", "tmpfs", "-o", "size=64m", "tmpfs")
}

// mount mounts on a new folder until the test ends.
func mount(t *testing.T, what ...string) *smallDisk {
	t.Helper()
	d := &smallDisk{t, filepath.Join(t.TempDir(), "mnt")}
	if err := os.Mkdir(d.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	systemOrSkip(t, "mount", append(what, d.dir)...)
	t.Cleanup(func() { system(t, "umount", "-l", d.dir) })
	return d
}

// fill takes all the room there is, as somebody else's file would.
func (d *smallDisk) fill() {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "somebody-elses"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 512; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *smallDisk) free() {
	d.t.Helper()
	if err := os.Remove(filepath.Join(d.dir, "somebody-elses")); err != nil {
		d.t.Fatal(err)
	}
}

// edge starts a standalone edge whose data is on the disk.
func (d *smallDisk) edge() *node {
	d.t.Helper()
	n := d.newEdge()
	n.start()
	return n
}

func (d *smallDisk) newEdge() *node {
	alone := withConfig(d.t, "role = \"edge\"\n[link]\ncores = []\n")
	return newNode(d.t, filepath.Join(d.dir, "data"), append([]string{"edge", "--node", "edge-a"}, alone...))
}

// connect connects a publisher of our own client.
func connect(t *testing.T, n *node, id string, version packet.Version) *mqttclient.Client {
	t.Helper()
	return connectAs(t, mqttclient.Config{Addr: n.addr(), ClientID: id, Version: version, Clean: true})
}

func connectAs(t *testing.T, cfg mqttclient.Config) *mqttclient.Client {
	t.Helper()
	c, err := mqttclient.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("connect %s: %v", cfg.ClientID, err)
	}
	t.Cleanup(c.Abort)
	return c
}

// publishBounded publishes and waits for the outcome, but not for ever.
func publishBounded(c *mqttclient.Client, topic, payload string, qos byte) (packet.ReasonCode, error) {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	return c.Publish(ctx, &mqttclient.Message{Topic: topic, Payload: []byte(payload), QoS: qos})
}

// padding makes messages large enough to fill a disk.
var padding = strings.Repeat(".", 4000)

// series publishes padded, numbered messages to t/q and knows which were acknowledged.
type series struct {
	t       *testing.T
	pub     *mqttclient.Client
	name    string
	next    int
	granted []int
}

// try publishes the next message at QoS 1 and tells whether it was acknowledged; anything but that and 0x97 fails.
func (s *series) try() bool {
	s.t.Helper()
	n := s.next
	s.next++
	_, err := publishBounded(s.pub, "t/q", numbered(s.name, n)+padding, 1)
	if err == nil {
		s.granted = append(s.granted, n)
		return true
	}
	var refused *mqttclient.Error
	if !errors.As(err, &refused) || refused.Packet != packet.PUBACK || refused.Reason != packet.QuotaExceeded { // [MQTT-3.4.2-1]
		s.t.Fatalf("got %v, want PUBACK with reason 0x97 (quota exceeded)", err)
	}
	return false
}

// untilRefused publishes until the disk takes no more.
func (s *series) untilRefused() {
	s.t.Helper()
	for range 20_000 {
		if !s.try() {
			return
		}
	}
	s.t.Fatalf("got 20,000 messages acknowledged on a full disk")
}

// wantGranted takes the acknowledged messages, in order, and none that was refused.
func (s *series) wantGranted(sub *client) {
	s.t.Helper()
	for _, n := range s.granted {
		sub.want("acknowledged while the disk filled up", "t/q", numbered(s.name, n)+padding)
	}
	s.granted = nil
}

func TestP6FaultDiskFull(t *testing.T) {
	disks := map[string]func(*testing.T) *smallDisk{"ext4": mountExt4, "tmpfs": mountTmpfs}
	for name, mount := range disks {
		t.Run(name, func(t *testing.T) { diskFull(t, mount(t)) })
	}
}

func diskFull(t *testing.T, disk *smallDisk) {
	edge := disk.edge()
	sub := dial(t, edge.addr(), "away")
	sub.subscribe("t/q", 1)
	sub.disconnect()
	s := &series{t: t, name: "m", pub: connect(t, edge, "sensor", packet.V5)}
	s.grant(20)
	for round := range scaled(1, 5) {
		disk.fill()
		s.wantFull(edge)
		edge.kill()
		edge.restart() // a full disk does not keep it from starting
		s.pub = connect(t, edge, "sensor", packet.V5)
		s.wantFull(edge)
		full := len(s.granted)
		disk.free()
		eventually(t, "there is room again", s.try)
		s.grant(50)
		eventually(t, "/readyz is 200 again", func() bool { code, _ := readiness(t, edge); return code == http.StatusOK })
		t.Logf("round %d: full with %d messages of %d bytes, %d more after there was room", round, full, len(padding), len(s.granted)-full)
		sub.connect()
		s.wantGranted(sub)
		eventually(t, "the last one is acknowledged", func() bool { return edge.status().Queued == 0 })
		sub.disconnect()
	}
	if !long {
		disk.fill()
	}
	s.untilRefused() // in the long form by its own messages
	t.Logf("%d messages of %d bytes waited on a full disk", len(s.granted), len(padding))
	sub.connect() // what is acknowledged is removed, which makes room
	s.wantGranted(sub)
	eventually(t, "there is room after the queue has drained", s.try)
}

// grant publishes messages that must be acknowledged.
func (s *series) grant(messages int) {
	s.t.Helper()
	for i := range messages {
		if !s.try() {
			s.t.Fatalf("got message %d refused although there is room", i)
		}
	}
}

// wantFull wants QoS 1 refused, in 5.0 and in 3.1.1, /readyz to say why, and QoS 0 and clients without state to go on.
func (s *series) wantFull(n *node) {
	s.t.Helper()
	s.untilRefused()
	eventually(s.t, "/readyz is 503 and says why", func() bool { return !s.try() && unready(s.t, n) }) // small records may find room yet
	wantNoPuback311(s.t, n)
	got := hear(s.t, n.addr(), "live", "live")
	for i := range 10 {
		if _, err := publishBounded(s.pub, "live", strconv.Itoa(i)+" of 10", 0); err != nil {
			s.t.Fatalf("QoS 0 on a full disk: %v", err)
		}
	}
	eventually(s.t, "QoS 0 arrives although the disk is full", func() bool { return got.next.Load() == 10 })
}

// A core's disk fills up: what it refuses waits at the edges, which go on acknowledging, and comes when there is room.
func TestP1FaultDiskFullAtCore(t *testing.T) {
	if !long {
		t.Skip("in `make test-faults` only: a refused edge comes again after 5 s")
	}
	disk := mountExt4(t)
	core := newNode(t, filepath.Join(disk.dir, "data"), []string{"core", "--node", "core-1", "--gossip", host + ":0"})
	core.start()
	edge := startEdge(t, "edge-a", core.addr())
	eventually(t, "the edge is linked", func() bool { return edge.linksUp() == 1 })
	l := startLoad(t)
	l.pair("up", edge, core)
	l.arrived()
	hoard := dial(t, core.addr(), "hoard")
	hoard.subscribe("t/q", 1)
	hoard.disconnect()
	disk.fill()
	s := &series{t: t, name: "m", pub: connect(t, core, "filler", packet.V5)}
	s.untilRefused() // what room there was inside the core's files is taken
	eventually(t, "what the core refuses waits at the edge", func() bool { return edge.backlog() > 500 })
	eventually(t, "/readyz says why", func() bool { return unready(t, core) }) // removals that find room make it ready for moments
	during(10 * time.Second)
	disk.free()
	eventually(t, "the edge's queue drains", func() bool { return edge.backlog() < 50 })
	l.settle(wait, edge).checkArrived(t) // frames of a link that were under way when one was refused may have been kept before it
}

func readiness(t *testing.T, n *node) (code int, body string) {
	t.Helper()
	resp, err := n.web.Get("http://" + n.ready.HTTP + "/readyz")
	if err != nil {
		t.Fatalf("get /readyz: %v", err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("read /readyz: %v", err)
	}
	return resp.StatusCode, string(b)
}

// unready tells whether /readyz is 503 for a full disk.
func unready(t *testing.T, n *node) bool {
	t.Helper()
	code, body := readiness(t, n)
	return code == http.StatusServiceUnavailable && strings.Contains(body, "disk is full")
}

// wantNoPuback311 publishes with 3.1.1, which cannot refuse: the connection is closed without PUBACK.
func wantNoPuback311(t *testing.T, n *node) {
	t.Helper()
	c := connect(t, n, "old-sensor", packet.V311)
	_, err := publishBounded(c, "t/q", "refused"+padding, 1)
	if err == nil {
		t.Fatal("3.1.1: got PUBACK on a full disk, want the connection closed")
	}
	select {
	case <-c.Done():
	case <-afterWait():
		t.Errorf("3.1.1: got %v and the connection still open, want it closed", err)
	}
}

// The file system turns read-only under a node, as ext4 does when a card breaks.
func TestP1FaultDiskReadOnly(t *testing.T) {
	disk := mountExt4(t)
	edge := disk.edge()
	sub := dial(t, edge.addr(), "away")
	sub.subscribe("t/q", 1)
	sub.disconnect()
	s := &series{t: t, name: "m", pub: connect(t, edge, "sensor", packet.V5)}
	for range 50 {
		s.try()
	}
	systemOrSkip(t, "mount", "-o", "remount,abort", disk.dir)
	wantNoMore(t, edge, s.pub)
	again := disk.newEdge()
	code, log := again.startFails()
	if code != 3 || !strings.Contains(log, "read-only file system") {
		t.Errorf("start on a read-only disk: got exit code %d and %q, want 3 and why", code, log)
	}
}

// wantNoMore publishes to a node whose disk broke: nothing is acknowledged, and the node says why. It may refuse,
// or end with exit code 3.
func wantNoMore(t *testing.T, n *node, pub *mqttclient.Client) {
	t.Helper()
	for i := range 5 {
		if _, err := publishBounded(pub, "t/q", numbered("lost", i)+padding, 1); err == nil {
			t.Fatalf("got PUBACK %d from a node whose disk is gone", i)
		}
	}
	if code, ended := n.ended(time.Second); ended {
		if code != 3 {
			t.Errorf("got exit code %d after the disk broke, want 3", code)
		}
	} else {
		if code, body := readiness(t, n); code != http.StatusServiceUnavailable || !strings.Contains(body, "read-only file system") {
			t.Errorf("got /readyz %d %q, want 503 and why", code, body)
		}
		if code := n.stop(); code != 0 && code != 3 {
			t.Errorf("got exit code %d at SIGTERM, want 3, or 0 if nothing was left to write", code)
		}
	}
	last := lastError(n.log.String())
	if !strings.Contains(last, "read-only file system") {
		t.Errorf("got no line in the log that says why")
	}
	t.Logf("the node ended with exit code %d: %s", n.cmd.ProcessState.ExitCode(), last)
}

// lastError is the last line of a log with level ERROR.
func lastError(log string) (last string) {
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"ERROR"`) {
			last = line
		}
	}
	return last
}
