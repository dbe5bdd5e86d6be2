package e2e

import (
	"fmt"
	"os/exec"
	"slices"
	"testing"
)

// versions are those of MQTT, as mosquitto's -V names them.
var versions = []string{"mqttv31", "mqttv311", "mqttv5"}

// needMosquitto skips a test that speaks with Debian's clients where they are not installed.
func needMosquitto(t *testing.T) {
	t.Helper()
	for _, c := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(c); err != nil {
			t.Skipf("%s is not installed (Debian: apt-get install mosquitto-clients)", c)
		}
	}
}

// carried are options that give a message of 5.0 properties: of kind "publish" or "will".
func carried(version, kind string) (args []string) {
	if version != "mqttv5" {
		return nil
	}
	for _, p := range [][]string{{"content-type", "text"}, {"response-topic", "answers"}, {"correlation-data", "c1"}, {"user-property", "k", "v"}} {
		args = append(append(args, "-D", kind), p...)
	}
	return args
}

// showing are the options of mosquitto_sub that take one message from topic and print all of it.
func showing(version, topic string) []string {
	return []string{"-V", version, "-t", topic, "-q", "2", "-C", "1", "-W", "20", "-F", "%t %p QoS %q retain %r [%C %R %D %P]"}
}

// shown is what they print: properties only where both sides speak 5.0.
func shown(from, to, topic, retain string) string {
	props := "   "
	if from == "mqttv5" && to == "mqttv5" {
		props = "text answers c1 k:v"
	}
	return fmt.Sprintf("%s x QoS 1 retain %s [%s]\n", topic, retain, props)
}

// wantAcross checks that what happen publishes, retained, reaches clients of all versions: live, and those who come later.
func wantAcross(t *testing.T, n *node, from, topic string, happen func()) {
	t.Helper()
	at := hostPort(t, n.addr())
	var live []func() (string, int)
	for _, to := range versions {
		live = append(live, listening(t, n, "mosquitto_sub", slices.Concat(showing(to, topic), at)...))
	}
	happen()
	for i, to := range versions {
		if got, code := live[i](); code != 0 || got != shown(from, to, topic, "0") {
			t.Errorf("%s to %s: got %q, exit code %d; want %q", from, to, got, code, shown(from, to, topic, "0"))
		}
		if got, stderr, code := runCommand(t, "", "mosquitto_sub", slices.Concat(showing(to, topic), at)...); code != 0 || got != shown(from, to, topic, "1") {
			t.Errorf("%s to %s, later: got %q, exit code %d (%s); want %q", from, to, got, code, stderr, shown(from, to, topic, "1"))
		}
	}
}

// wantSubscriptions waits until all who were there before have left, or have come: the clients do not wait for the node.
func wantSubscriptions(t *testing.T, n *node, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d subscriptions", want), func() bool { return n.status().Subscriptions == want })
}

// Messages and wills cross versions, live and retained, with what each version can carry.
func TestVersionsMixWithMosquittoClients(t *testing.T) {
	needMosquitto(t)
	edge := startNode(t, []string{"edge", "--node", "edge-a"})
	at, own := hostPort(t, edge.addr()), edge.status().Subscriptions
	for _, from := range versions {
		topic := "m/" + from
		wantSubscriptions(t, edge, own)
		wantAcross(t, edge, from, topic, func() {
			args := slices.Concat([]string{"-V", from, "-t", topic, "-m", "x", "-q", "1", "-r"}, carried(from, "publish"), at)
			if _, stderr, code := runCommand(t, "", "mosquitto_pub", args...); code != 0 {
				t.Errorf("mosquitto_pub %s: got exit code %d (%s), want 0", from, code, stderr)
			}
		})
		topic = "w/" + from
		wantSubscriptions(t, edge, own)
		args := slices.Concat([]string{"-V", from, "-t", "silent", "--will-topic", topic, "--will-payload", "x", "--will-qos", "1", "--will-retain"},
			carried(from, "will"), at)
		dying := exec.Command("mosquitto_sub", args...)
		if err := dying.Start(); err != nil {
			t.Fatal(err)
		}
		wantSubscriptions(t, edge, own+1)
		wantAcross(t, edge, from, topic, func() {
			if err := dying.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = dying.Wait() // it was killed
		})
	}
}
