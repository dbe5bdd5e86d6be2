package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// dataCommand runs `mangrove data` to its end and wants it to succeed.
func dataCommand(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	out, errs, code := runCommand(t, "", binary, append([]string{"data"}, args...)...)
	if code != 0 {
		t.Fatalf("data %v: got exit code %d: %s", args, code, errs)
	}
	return out
}

// A node is backed up while it works: everything that it acknowledged before is in the backup, which is consistent.
func TestP1BackupOfARunningNode(t *testing.T) {
	edge := standalone(t, "")
	for id, filter := range map[string]string{"exact": "t/before", "all": "t/#"} {
		sub := dial(t, edge.addr(), id)
		sub.subscribe(filter, 2)
		sub.disconnect()
	}
	l := startLoad(t)
	for _, id := range []string{"busy-1", "busy-2", "busy-3"} {
		l.publish(flow{addr: edge.addr(), id: id, topic: "t/" + id, qos: 1 + id[5]%2, pace: time.Millisecond})
	}
	busy := func() int { return l.book.sum().acked }
	eventually(t, "the load has begun", func() bool { return busy() > 100 })
	pub := dial(t, edge.addr(), "sensor")
	pub.publishNumbered("t/before", "m", 0, 300, 2)
	pub.publish("kept/state", "before", 1, true)

	before, file := busy(), filepath.Join(t.TempDir(), "backup")
	for range scaled(2, 20) {
		out := dataCommand(t, "backup", edge.dir, file)
		checkRestored(t, file, 300)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		t.Log(strings.TrimSpace(out))
	}
	eventually(t, "the node has gone on meanwhile", func() bool { return busy() > before })
	if _, errs, code := runCommand(t, "", binary, "data", "check", edge.dir); code != 1 || !strings.Contains(errs, "stop the node first") {
		t.Errorf("check of a running node: got exit code %d and %q, want 1 and what to do", code, errs)
	}
	edge.kill()
	dataCommand(t, "backup", edge.dir, file) // the socket of a killed node is in nobody's way
	checkRestored(t, file, 300)
}

// checkRestored makes a node of a backup and wants what was acknowledged before it.
func checkRestored(t *testing.T, file string, messages int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	dataCommand(t, "restore", file, dir)
	dataCommand(t, "check", dir)
	n := newNode(t, dir, append([]string{"edge", "--node", "edge-a"}, withConfig(t, "role = \"edge\"\n[link]\ncores = []\n")...))
	n.start()
	sub := newClient(t, n.addr(), "exact")
	if !sub.connect() {
		t.Error("got session present 0 from the restored node, want 1")
	}
	sub.wantNumbered("acknowledged before the backup", "t/before", "m", 0, messages)
	late := dial(t, n.addr(), "late")
	late.subscribe("kept/#", 1)
	late.want("retained before the backup", "kept/state", "before")
	sub.end()
	late.end()
	if code := n.stop(); code != 0 {
		t.Errorf("got exit code %d from the restored node, want 0", code)
	}
}
