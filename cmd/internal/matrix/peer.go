package matrix

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// Peer is a broker that can be measured. To add one, add it to peers.
type Peer struct {
	Name string
	// Find answers the binary and its version; an error that it is not installed.
	Find func() (binary, version string, err error)
	// Config writes what the broker needs and answers its arguments.
	Config func(s setting) (args []string, err error)
	Setup  string // for the report: how it is configured
	// Lacks says why a case cannot be measured, or would say nothing; "" = it can. nil = every case can.
	Lacks func(c *Case) string
}

// setting is what a case wants of a broker.
type setting struct {
	folder  string // for everything it writes
	port    int    // of 127.0.0.1
	durable bool   // state on disk
	tls     bool   // the port speaks TLS, with the certificate in folder
	metrics string // address where Mangrove shows its metrics; "" = nowhere
	usual   bool   // its own bounds of queues, not ones above the backlogs
}

// peers are all brokers: ours first, then the reference of the ratios. folder has the binaries that were built
// for this, by make bench.
func peers(self, version, folder string) []Peer {
	return []Peer{mangrove(self, version), mosquitto(), nats(folder), mochi(folder)}
}

func mangrove(self, version string) Peer {
	return Peer{
		Name:   "Mangrove",
		Find:   func() (string, string, error) { return self, version, nil },
		Config: mangroveConfig,
		Setup:  "`mangrove edge` with its defaults: sessions and queues on disk, also in the clean cases. No cores to link to, and a queue limit above the backlogs.",
	}
}

func mangroveConfig(s setting) ([]string, error) {
	path := filepath.Join(s.folder, "edge.toml")
	text := fmt.Sprintf(`role = "edge"
node = "bench"
data = %q
listen = ["127.0.0.1:%d"]
http.address = %q
link.cores = []
link.up = []
log.level = "warn"
`, filepath.Join(s.folder, "data"), s.port, s.metrics)
	if s.tls {
		text = strings.Replace(text, `"127`, `"tls://127`, 1) + fmt.Sprintf("tls.cert = %q\ntls.key = %q\n",
			filepath.Join(s.folder, certFile), filepath.Join(s.folder, keyFile))
	}
	if !s.usual {
		text += "limits.queue_messages = 10000000\nlimits.queue_bytes = 2147483647\n"
	}
	return []string{"edge", "--config", path}, write(path, text)
}

func mosquitto() Peer {
	return Peer{
		Name:   "mosquitto",
		Find:   findMosquitto,
		Config: mosquittoConfig,
		Setup: "`persistence false`, in the durable cases `persistence true`; `max_inflight_messages 1000`, without which it closes connections " +
			"that have a window of 32 at QoS 2; `max_queued_messages 0`, without which it drops what is more than 1,000.",
	}
}

func findMosquitto() (binary, version string, err error) {
	binary, err = exec.LookPath("mosquitto")
	if err != nil {
		const debian = "/usr/sbin/mosquitto" // which is not in everybody's PATH
		if _, err := os.Stat(debian); err != nil {
			return "", "", err
		}
		binary = debian
	}
	// Its help ends with exit code 1.
	out, _ := exec.Command(binary, "-h").CombinedOutput()
	first, _, _ := strings.Cut(string(out), "\n")
	return binary, strings.TrimPrefix(first, "mosquitto version "), nil
}

func mosquittoConfig(s setting) ([]string, error) {
	me, err := user.Current() // else it becomes a user who may not write to folder
	if err != nil {
		return nil, fmt.Errorf("find the user's name: %w", err)
	}
	path := filepath.Join(s.folder, "mosquitto.conf")
	text := fmt.Sprintf(`listener %d 127.0.0.1
allow_anonymous true
user %s
persistence %t
persistence_location %s/
max_inflight_messages 1000
log_type error
`, s.port, me.Username, s.durable, s.folder)
	if !s.usual {
		text += "max_queued_messages 0\n"
	}
	if s.tls {
		text += fmt.Sprintf("certfile %s\nkeyfile %s\n", filepath.Join(s.folder, certFile), filepath.Join(s.folder, keyFile))
	}
	return []string{"-c", path}, write(path, text)
}

// findBuilt finds a binary that was built into folder, or one that is installed.
func findBuilt(folder, name string) (string, error) {
	built := filepath.Join(folder, name)
	if _, err := os.Stat(built); err == nil {
		return filepath.Abs(built)
	}
	return exec.LookPath(name)
}

func nats(folder string) Peer {
	return Peer{
		Name: "nats-server",
		Find: func() (binary, version string, err error) {
			if binary, err = findBuilt(folder, "nats-server"); err != nil {
				return "", "", err
			}
			out, err := exec.Command(binary, "--version").Output()
			return binary, strings.TrimPrefix(strings.TrimSpace(string(out)), "nats-server: v"), err
		},
		Config: natsConfig,
		Setup: "its MQTT listener, with JetStream in a folder of the case, without which it has no MQTT; `max_ack_pending 1000`, as mosquitto. QoS 1 and 2 go " +
			"through JetStream, which writes them to files; in the durable cases `sync_interval always`, so that what is acknowledged is kept, as ours.",
		Lacks: func(c *Case) string {
			switch {
			case c.Many:
				return "it stores about a thousand messages a second with a sync for each, and makes sessions more slowly: it would take minutes"
			case c.Usual:
				return "it has no bound of messages for one client; its streams' bounds are for all of them"
			}
			return ""
		},
	}
}

func natsConfig(s setting) ([]string, error) {
	client, err := freePort() // of its own protocol, which it always speaks too
	if err != nil {
		return nil, err
	}
	sync, tls := "2m", "" // 2m is its default
	if s.durable {
		sync = "always"
	}
	if s.tls {
		tls = fmt.Sprintf("tls { cert_file: %q, key_file: %q }", filepath.Join(s.folder, certFile), filepath.Join(s.folder, keyFile))
	}
	path := filepath.Join(s.folder, "nats.conf")
	text := fmt.Sprintf(`server_name: bench
host: 127.0.0.1
port: %d
jetstream { store_dir: %q, sync_interval: %s }
mqtt { host: 127.0.0.1, port: %d, max_ack_pending: 1000, %s }
`, client, filepath.Join(s.folder, "jetstream"), sync, s.port, tls)
	return []string{"--config", path}, write(path, text)
}

func mochi(folder string) Peer {
	return Peer{
		Name: "mochi-mqtt",
		Find: func() (binary, version string, err error) {
			if binary, err = findBuilt(folder, "mochi"); err != nil {
				return "", "", err
			}
			out, err := exec.Command(binary, "-version").Output()
			return binary, strings.TrimSpace(string(out)), err
		},
		Config: mochiConfig,
		Setup:  "a listener and a hook that allows everybody (`internal/bench/peers/mochi`), in the durable cases with its hook that stores in bbolt.",
		Lacks: func(c *Case) string {
			if c.Many {
				return "it keeps 8,192 messages for one client at most and drops the others, and stores some hundred a second"
			}
			return ""
		},
	}
}

func mochiConfig(s setting) ([]string, error) {
	args := []string{"-listen", fmt.Sprintf("127.0.0.1:%d", s.port)}
	if s.durable {
		args = append(args, "-database", filepath.Join(s.folder, "mochi.db"))
	}
	if s.tls {
		args = append(args, "-cert", filepath.Join(s.folder, certFile), "-key", filepath.Join(s.folder, keyFile))
	}
	return args, nil
}

func write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
