package e2e

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// An operator sees what waits for whom, and removes it; what is lost is told before, and counted.
func TestP5AnOperatorSeesAndRemovesQueues(t *testing.T) {
	edge := startNode(t, append([]string{"edge", "--node", "edge-a"}, withConfig(t, "role = \"edge\"\n[link]\ncores = [\"127.0.0.1:1\"]\n")...))
	sub := dial(t, edge.addr(), "sensor-7")
	sub.subscribe("t/#", 1)
	sub.disconnect()
	pub := dial(t, edge.addr(), "pub")
	pub.publishNumbered("t/x", "m", 0, 20, 1)
	run := func(code int, want string, args ...string) {
		t.Helper()
		out, errs, got := runCommand(t, "", binary, args...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: got exit code %d, %q and %q, want %d and %q", args, got, out, errs, code, want)
		}
		for line := range strings.Lines(out) {
			if utf8.RuneCountInString(line) > 81 && !strings.HasPrefix(strings.TrimSpace(line), "\"") {
				t.Errorf("%v: a line has more than 80 columns: %q", args, line)
			}
		}
	}
	run(0, "sensor-7", "status", edge.dir)
	run(0, `"largest_queues"`, "status", "http://"+edge.ready.HTTP, "--json")
	run(0, "20 messages", "session", "show", edge.dir, "sensor-7")
	run(0, "the first 1 of 2", "session", "list", edge.dir, "--limit", "1")
	run(1, `did you mean "sensor-7"?`, "session", "show", edge.dir, "senser-7")
	run(2, "20 messages", "session", "remove", edge.dir, "sensor-7")
	run(1, "--kick", "session", "remove", edge.dir, "pub", "--yes")
	run(0, "removed, with 20 messages", "session", "remove", edge.dir, "sensor-7", "--yes")
	run(0, "no sessions", "session", "list", edge.dir, "--by", "name", "--prefix", "sensor")
	run(0, "connection refused", "link", "list", edge.dir)
	run(2, "20 messages", "link", "purge", edge.dir, "uplink")
	run(0, "purged of 20 messages", "link", "purge", edge.dir, "uplink", "--yes")
	run(1, "purge drops", "link", "forget", edge.dir, "uplink", "--yes")
	run(0, "20 link-removed-by-operator, 20 removed-by-operator", "status", edge.dir)
	pub.end()
	edge.kill()
	run(1, "start the node", "status", edge.dir)
}
