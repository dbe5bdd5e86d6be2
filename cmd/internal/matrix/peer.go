package matrix

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// Peer is a broker that can be measured. To add one, add it to peers: nats-server and mochi-mqtt, Go
// modules that have no place in go.mod, would each be a binary built elsewhere and found by its path.
type Peer struct {
	Name string
	// Find answers the binary and its version; an error that it is not installed.
	Find func() (binary, version string, err error)
	// Config writes what the broker needs into folder and answers its arguments. durable asks for state on disk.
	Config func(folder string, port int, durable bool) (args []string, err error)
	Setup  string // for the report: how it is configured
}

// peers are all brokers: ours first, then the reference of the ratios.
func peers(self, version string) []Peer {
	return []Peer{mangrove(self, version), mosquitto()}
}

func mangrove(self, version string) Peer {
	return Peer{
		Name:   "Mangrove",
		Find:   func() (string, string, error) { return self, version, nil },
		Config: mangroveConfig,
		Setup:  "`mangrove edge` with its defaults: sessions and queues on disk, also in the clean cases. No cores to link to, and a queue limit above the backlogs.",
	}
}

func mangroveConfig(folder string, port int, _ bool) ([]string, error) {
	path := filepath.Join(folder, "edge.toml")
	text := fmt.Sprintf(`role = "edge"
node = "bench"
data = %q
listen = ["127.0.0.1:%d"]
[http]
address = ""
[link]
cores = []
up = []
[limits]
queue_messages = 10000000
queue_bytes = 2147483647
[log]
level = "warn"
`, filepath.Join(folder, "data"), port)
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

func mosquittoConfig(folder string, port int, durable bool) ([]string, error) {
	me, err := user.Current() // else it becomes a user who may not write to folder
	if err != nil {
		return nil, fmt.Errorf("find the user's name: %w", err)
	}
	path := filepath.Join(folder, "mosquitto.conf")
	text := fmt.Sprintf(`listener %d 127.0.0.1
allow_anonymous true
user %s
persistence %t
persistence_location %s/
max_queued_messages 0
max_inflight_messages 1000
log_type error
`, port, me.Username, durable, folder)
	return []string{"-c", path}, write(path, text)
}

func write(path, text string) error {
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}
