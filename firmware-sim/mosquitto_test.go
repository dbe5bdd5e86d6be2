package firmwaresim

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mosquitto starts a broker that nobody here wrote, with a fresh data folder, and returns its address.
func mosquitto(t *testing.T) string {
	t.Helper()
	path := "/usr/sbin/mosquitto"
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not installed (Debian: apt-get install mosquitto)", path)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	config := filepath.Join(t.TempDir(), "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\n", addr.Port)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "-c", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for deadline := time.Now().Add(5 * time.Second); ; {
		c, err := net.Dial("tcp", addr.String())
		if err == nil {
			c.Close()
			return addr.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("mosquitto does not listen: %v", err)
		}
		pause(t.Context(), 10*time.Millisecond)
	}
}

func TestFleetAgainstMosquitto(t *testing.T) {
	t.Parallel()
	addr := mosquitto(t)
	var last Snapshot
	report, err := Run(t.Context(), Config{
		Brokers: []string{addr}, Devices: 40, Duration: 2 * time.Second, Rate: 20, Commands: 50, Seed: 1,
		Progress: func(s Snapshot) { last = s },
	})
	if err != nil {
		t.Fatal(err)
	}
	total := report.Total
	if !report.OK() || !report.Settled || total.Unacknowledged != 0 || total.OutOfOrder != 0 || total.DuplicatedQoS2 != 0 || report.Stray != 0 {
		t.Errorf("got report %+v, want nothing lost, open, out of order or stray", report)
	}
	if len(report.Models) != len(Models()) || total.Acknowledged < 100 || total.Latency.P50 <= 0 {
		t.Errorf("got report %+v, want all models and some hundred messages", report)
	}
	if report.CommandsSent == 0 || report.CommandsAnswered != report.CommandsSent {
		t.Errorf("got %d commands, %d answered; want some, and all answered", report.CommandsSent, report.CommandsAnswered)
	}
	if last.Phase != Done {
		t.Errorf("got last phase %q, want %q", last.Phase, Done)
	}
}

// Connections of the devices are reset and go silent; what was acknowledged arrives all the same.
func TestFleetThroughABadNetwork(t *testing.T) {
	t.Parallel()
	proxy, err := sim.StartProxy(sim.ProxyConfig{Target: mosquitto(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	faults, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan struct{})
	go func() { // ends with faults; waited for below
		defer close(done)
		for pause(faults, 400*time.Millisecond) {
			proxy.Cut(sim.Fault{})
			pause(faults, 100*time.Millisecond)
			proxy.Heal()
			proxy.Reset()
		}
	}()
	report, err := Run(t.Context(), Config{Brokers: []string{proxy.Addr()}, Devices: 20, Duration: 3 * time.Second, Rate: 20, Seed: 2,
		Progress: func(s Snapshot) {
			if s.Phase == Settling {
				stop()
			}
		}})
	stop()
	<-done
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() || !report.Settled || report.Total.DuplicatedQoS2 != 0 || report.Total.OutOfOrder != 0 {
		t.Errorf("got report %+v, want nothing lost, open or out of order", report)
	}
	if report.Reconnects == 0 {
		t.Error("got no reconnects, want the faults to be felt")
	}
}

func TestRunSaysWhyABrokerIsOutOfReach(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if report, err := Run(t.Context(), Config{Brokers: []string{l.Addr().String()}, Devices: 1, Duration: time.Second}); err == nil || report != nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v, %v; want an error that tells why", report, err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Brokers: []string{"127.0.0.1:1"}, Devices: 1, Duration: time.Second}
	for name, change := range map[string]func(*Config){
		"no broker":     func(c *Config) { c.Brokers = nil },
		"no device":     func(c *Config) { c.Devices = 0 },
		"no duration":   func(c *Config) { c.Duration = 0 },
		"negative rate": func(c *Config) { c.Rate = -1 },
		"unknown model": func(c *Config) { c.Models = []string{"toaster"} },
	} {
		c := good
		change(&c)
		if err := c.Check(); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	if err := good.Check(); err != nil || good.Rate != 1 || good.Settle != DefaultSettle {
		t.Errorf("got %+v, %v; want defaults filled in", good, err)
	}
}
