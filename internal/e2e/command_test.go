package e2e

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// runCommand runs a command to its end.
func runCommand(t *testing.T, stdin string, name string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s %v: %v", name, args, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// listening runs a subscriber command in the background until it has subscribed, as the node sees it.
func listening(t *testing.T, n *node, name string, args ...string) (wait func() (stdout string, code int)) {
	t.Helper()
	before := n.status().Subscriptions
	type result struct {
		stdout string
		code   int
	}
	done := make(chan result, 1)
	go func() { // ends with the command, which -W bounds; the returned function waits
		cmd := exec.Command(name, args...)
		out, _ := cmd.Output() // the exit code tells
		done <- result{string(out), cmd.ProcessState.ExitCode()}
	}()
	eventually(t, name+" has subscribed", func() bool { return n.status().Subscriptions > before })
	return func() (string, int) {
		r := <-done
		return r.stdout, r.code
	}
}

func hostPort(t *testing.T, addr string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatalf("split %s: %v", addr, err)
	}
	return []string{"-h", host, "-p", port}
}

func TestPubAndSubCommands(t *testing.T) {
	edge := startNode(t, []string{"edge", "--node", "edge-a"})
	at := hostPort(t, edge.addr())
	for _, version := range versions {
		for _, qos := range []string{"0", "1", "2"} {
			sub := listening(t, edge, binary, append([]string{"sub", "-t", "a/#", "-v", "-C", "2", "-W", "20", "-q", qos, "-V", version}, at...)...)
			if _, stderr, code := runCommand(t, "first\nsecond\n", binary, append([]string{"pub", "-t", "a/b", "-l", "-q", qos, "-V", version}, at...)...); code != 0 {
				t.Errorf("pub %s QoS %s: got exit code %d (%s), want 0", version, qos, code, stderr)
			}
			if out, code := sub(); code != 0 || out != "a/b first\na/b second\n" {
				t.Errorf("sub %s QoS %s: got %q, exit code %d; want both lines, 0", version, qos, out, code)
			}
		}
	}
	if _, _, code := runCommand(t, "", binary, append([]string{"sub", "-t", "silent", "-C", "1", "-W", "1"}, at...)...); code != 27 {
		t.Errorf("sub that hears nothing: got exit code %d, want 27", code)
	}
	edge.stop()
	if _, stderr, code := runCommand(t, "", binary, append([]string{"pub", "-t", "a", "-m", "x"}, at...)...); code == 0 || stderr == "" {
		t.Errorf("pub to nobody: got exit code %d and %q, want an error", code, stderr)
	}
}

func TestP8PlainMosquittoClients(t *testing.T) {
	needMosquitto(t)
	f := startFleet(t)
	toA, atC := hostPort(t, f.edgeA.addr()), hostPort(t, f.edgeC.addr())
	pub := dial(t, f.edgeA.addr(), "warm-up")
	for _, version := range versions {
		topic := "m/" + version
		warm := f.subscribed(t, pub, "warm-up-"+version, topic+"/#", topic+"/warm-up", 1)
		sub := listening(t, f.edgeC, "mosquitto_sub", append([]string{"-t", topic + "/#", "-v", "-C", "3", "-W", "20", "-q", "2", "-V", version}, atC...)...)
		for _, qos := range []string{"0", "1", "2"} {
			if _, stderr, code := runCommand(t, "", "mosquitto_pub", append([]string{"-t", topic + "/x", "-m", "q" + qos, "-q", qos, "-V", version}, toA...)...); code != 0 {
				t.Errorf("mosquitto_pub %s QoS %s: got exit code %d (%s), want 0", version, qos, code, stderr)
			}
			warm.want("in order", topic+"/x", "q"+qos)
		}
		want := topic + "/x q0\n" + topic + "/x q1\n" + topic + "/x q2\n"
		if out, code := sub(); code != 0 || out != want {
			t.Errorf("mosquitto_sub %s: got %q, exit code %d; want %q, 0", version, out, code, want)
		}
	}
}

func TestStopsCleanly(t *testing.T) {
	core := startCore(t, "core-1")
	edge := startEdge(t, "edge-a", core.addr())
	eventually(t, "the link is up", func() bool { return edge.linksUp() == 1 })
	if got := string(edge.get("/readyz")); !strings.Contains(got, "ready") {
		t.Errorf("got /readyz %q, want ready", got)
	}
	for _, n := range []*node{edge, core} {
		if code := n.stop(); code != 0 {
			t.Errorf("%s: got exit code %d after SIGTERM, want 0", n.ready.Node, code)
		}
	}
}

func TestDemo(t *testing.T) {
	out, stderr, code := runCommand(t, "", binary, "demo", "--devices", "30", "--duration", "10s")
	if code != 0 {
		t.Fatalf("got exit code %d, want 0\n%s\n%s", code, out, stderr)
	}
	for _, want := range []string{"uplink cut", "kill -9", "lost"} {
		if !strings.Contains(out+stderr, want) {
			t.Errorf("the demo does not speak of %q:\n%s", want, out)
		}
	}
}
