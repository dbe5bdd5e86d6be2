package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"mangrove/mqtt/broker"
	"mangrove/mqtt/transport"
	"mangrove/session"
)

// defaultsOf gives the keys of the default file as it stands there.
func defaultsOf(t *testing.T, role Role) map[string]string {
	t.Helper()
	var b strings.Builder
	if err := WriteDefault(&b, role, "mangrove"); err != nil {
		t.Fatal(err)
	}
	said, table := map[string]string{}, ""
	for _, line := range strings.Split(b.String(), "\n") {
		if name, ok := strings.CutPrefix(line, "["); ok {
			table = strings.TrimSuffix(name, "]") + "."
		}
		if key, value, ok := strings.Cut(line, " = "); ok && !strings.HasPrefix(line, "#") {
			said[table+key] = value
		}
	}
	return said
}

// What the operator reads in docs/operating.md is what the default file says.
func TestDocumentedDefaults(t *testing.T) {
	page, err := os.ReadFile("../../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	said, seen := defaultsOf(t, Edge), 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`limits\\.[^|]*) \\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		keys, values := strings.Split(row[1], ", "), strings.Split(row[2], ", ")
		if row[1] == "`limits.when_full`" {
			continue // the head of a table of its own
		}
		if len(keys) != len(values) {
			t.Fatalf("got %d values for %s", len(values), row[1])
		}
		for i, key := range keys {
			key = strings.Trim(key, "`")
			if got, want := values[i], strings.Trim(said[key], `"`); got != want {
				t.Errorf("docs/operating.md says %s = %s, the default file %s", key, got, want)
			}
			seen++
		}
	}
	if want := 12; seen != want {
		t.Errorf("docs/operating.md gives %d defaults of [limits], want %d", seen, want)
	}
	if whenFull := strings.Trim(said["limits.when_full"], `"`); !strings.Contains(string(page), "| `"+whenFull+"` (default) |") {
		t.Errorf("docs/operating.md does not call %s the default of limits.when_full", whenFull)
	}
}

// One bound that two parts hold is one number.
func TestDefaultsOfTheParts(t *testing.T) {
	if broker.DefaultMaxConns != transport.DefaultMaxConns {
		t.Errorf("connections: broker has %d, transport %d", broker.DefaultMaxConns, transport.DefaultMaxConns)
	}
	if broker.DefaultReceiveMaximum != session.DefaultMaxInflight {
		t.Errorf("receive maximum: broker has %d, session %d", broker.DefaultReceiveMaximum, session.DefaultMaxInflight)
	}
}
