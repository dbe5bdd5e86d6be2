package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// copyFolder makes to a copy of a node's folder as it is, but for what only a running node has.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// P1, P2: two gateways run on copies of one SD card under names of their own, then an older image of one is put back. All that
// they acknowledged arrives, once.
func TestP1CopiesOfADataFolder(t *testing.T) {
	core := startCore(t, "core-1")
	sub := dial(t, core.addr(), "listener")
	sub.subscribe("t/#", 2)
	golden := startEdge(t, "golden", core.addr())
	dial(t, golden.addr(), "sensor").publishNumbered("t/golden", "g", 0, 10, 1)
	sub.wantNumbered("before the card is copied", "t/golden", "g", 0, 10)
	golden.stop()

	var sites []*node
	for _, name := range []string{"site-1", "site-2"} {
		dir := filepath.Join(t.TempDir(), "data")
		copyFolder(t, golden.dir, dir)
		site := newNode(t, dir, []string{"edge", "--node", name, "--core", core.addr(), "--discovery", "static"})
		site.start()
		sites = append(sites, site)
	}
	for _, site := range sites {
		topic := "t/" + site.ready.Node
		dial(t, site.addr(), "sensor").publishNumbered(topic, "m", 0, 100, 2)
		sub.wantNumbered("copies run at the same time", topic, "m", 0, 100)
	}
	site, image := sites[0], filepath.Join(t.TempDir(), "image")
	site.stop()
	copyFolder(t, site.dir, image)
	for _, turn := range []string{"after the image", "after the image was put back"} {
		if turn == "after the image was put back" {
			site.stop()
			copyFolder(t, image, site.dir)
		}
		site.restart()
		dial(t, site.addr(), "sensor").publishNumbered("t/image", turn, 0, 200, 2)
		sub.wantNumbered(turn, "t/image", turn, 0, 200)
	}
	eventually(t, "nothing waits", func() bool { return core.backlog() == 0 && sites[0].backlog() == 0 && sites[1].backlog() == 0 })
	sub.wantNothingBefore("once each", dial(t, core.addr(), "marker"), "t/end", "end")
}

// Two gateways have one name, and one folder that was copied. The first stays linked, both are told, and the second gets in when the first
// is gone; what it took meanwhile arrives.
func TestTwoNodesOfOneName(t *testing.T) {
	t.Parallel()
	core := startCore(t, "core-1")
	sub := dial(t, core.addr(), "listener")
	sub.subscribe("t/#", 1)
	first := startEdge(t, "gateway", core.addr())
	first.stop()
	other := newNode(t, filepath.Join(t.TempDir(), "data"), []string{"edge", "--node", "gateway", "--core", core.addr(), "--discovery", "static"})
	copyFolder(t, first.dir, other.dir)
	first.restart()
	eventually(t, "the first is linked", func() bool { return first.linksUp() == 1 })
	other.start()
	says := func(n *node, what string) func() bool {
		return func() bool {
			return strings.Contains(n.log.String(), what) && strings.Contains(string(n.get("/api/v1/status")), `"twin":`)
		}
	}
	eventually(t, "the core says so", says(core, "two nodes run under one name"))
	eventually(t, "the first one is told", says(first, "another node runs under this node's name"))
	eventually(t, "the other one is told", says(other, "another node is connected under this node's name"))
	dial(t, other.addr(), "sensor").publishNumbered("t/other", "o", 0, 20, 1)
	dial(t, first.addr(), "sensor").publishNumbered("t/first", "f", 0, 20, 1)
	sub.wantNumbered("the first one works on", "t/first", "f", 0, 20)
	first.stop()
	sub.wantNumbered("the other one gets in", "t/other", "o", 0, 20)
}
