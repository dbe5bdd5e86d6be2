package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"

	"mangrove/internal/batch"
	"mangrove/internal/node"
	"mangrove/internal/overflow"
	"mangrove/mqtt/router"
)

var roles = []Role{Edge, Core}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "node.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// check does for both roles what their own checks begin with.
func check(c *Config) error {
	n, err := c.Settings()
	return c.Place(errors.Join(err, n.Check()))
}

func defaultFile(t *testing.T, role Role) string {
	t.Helper()
	var b bytes.Buffer
	if err := WriteDefault(&b, role, "mangrove"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDefaultFileWorksAndChangesNothing(t *testing.T) {
	for _, role := range roles {
		path := write(t, defaultFile(t, role))
		if got, err := RoleOf(path); err != nil || got != role {
			t.Errorf("%s: got role %q, %v", role, got, err)
		}
		got := New(role)
		if err := got.Load(path); err != nil {
			t.Fatalf("%s: load: %v", role, err)
		}
		if err := check(got); err != nil {
			t.Errorf("%s: check: %v", role, err)
		}
		got.places = New(role).places
		if want := New(role); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want the defaults %+v", role, got, want)
		}
	}
}

// Keys that are commented out must be right too, once the comment sign is taken away.
func TestDefaultFileShowsEveryKey(t *testing.T) {
	for _, role := range roles {
		var lines []string
		for line := range strings.Lines(defaultFile(t, role)) {
			if setting := strings.TrimPrefix(line, "# "); strings.Contains(setting, " = ") && !strings.ContainsAny(setting[:strings.Index(setting, " = ")], " .") {
				line = setting
			}
			lines = append(lines, line)
		}
		values := map[string]any{}
		if err := toml.Unmarshal([]byte(strings.Join(lines, "")), &values); err != nil {
			t.Fatalf("%s: %v", role, err)
		}
		for _, k := range New(role).keys() {
			if lookup(values, strings.Split(k.name, ".")) == nil {
				t.Errorf("%s: the default file lacks %s", role, k.name)
			}
		}
	}
}

// Every field of Config is some key's.
func TestEveryFieldHasAKey(t *testing.T) {
	held := map[any]bool{}
	for _, role := range roles {
		for _, k := range New(role).keys() {
			held[k.name] = true
		}
	}
	var walk func(t reflect.Type, prefix string) []string
	walk = func(typ reflect.Type, prefix string) (names []string) {
		for f := range typ.Fields() {
			name := prefix + snake(f.Name)
			switch {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Struct:
				names = append(names, walk(f.Type, name+".")...)
			default:
				names = append(names, name)
			}
		}
		return names
	}
	names := walk(reflect.TypeFor[Config](), "")
	for _, name := range names {
		if !held[name] {
			t.Errorf("field %s has no key", name)
		}
	}
	if len(names) != len(held) {
		t.Errorf("got %d fields and %d keys, want as many", len(names), len(held))
	}
}

// snake turns PasswordFile into password_file and ClientCA into client_ca.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		upper := 'A' <= r && r <= 'Z'
		if upper && i > 0 && s[i-1] >= 'a' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}

func TestFaultsNamePlaceKeyAndWhatIsAllowed(t *testing.T) {
	cases := []struct {
		why  string
		role Role
		text string
		want []string // each in the error, one a line
	}{
		{"unknown key", Edge, "nodee = \"a\"\n", []string{"node.toml:1:1: unknown key nodee: did you mean node?"}},
		{"unknown key in a table", Edge, "\n[log]\nlevle = \"info\"\n", []string{"node.toml:3:1: unknown key log.levle: did you mean log.level?"}},
		{"unknown and far from all", Edge, "[log]\ncolour = true\n", []string{"node.toml:2:1: unknown key log.colour: want log.level, log.format"}},
		{"right key, wrong table", Edge, "[log]\ndiscovery = \"seeds\"\n", []string{"node.toml:2:1: unknown key log.discovery: did you mean link.discovery?"}},
		{"unknown table", Edge, "[links]\nup = []\n", []string{"node.toml:1:2: unknown table links: did you mean link?"}},
		{"other role's key", Core, "[link]\ncores = []\n", []string{"node.toml:2:1: unknown key link.cores for role \"core\": it is for role \"edge\""}},
		{"other role's file", Core, "role = \"edge\"\n", []string{"node.toml:1:1: role: found \"edge\": want one of core"}},
		{"number for text", Edge, "node = 7\n", []string{"node.toml:1:1: node: found the number 7, want a name, in quotes"}},
		{"text for number", Edge, "[limits]\n  connections = \"many\"\n", []string{"node.toml:2:3: limits.connections: found the text \"many\", want a whole number from 1 to 10000000"}},
		{"fraction for number", Edge, "limits.connections = 1.5\n", []string{"limits.connections: found the number 1.5"}},
		{"too small", Edge, "[limits]\npacket_size = 1\n", []string{"node.toml:2:1: limits.packet_size: found 1, want a whole number from 1024"}},
		{"text for a switch", Edge, "allow_anonymous = \"yes\"\n", []string{"node.toml:1:1: allow_anonymous: found the text \"yes\", want true or false"}},
		{"text for a list", Edge, "listen = \"127.0.0.1:1\"\n", []string{"node.toml:1:1: listen: found the text \"127.0.0.1:1\", want a list"}},
		{"number in a list", Edge, "listen = [1883]\n", []string{"node.toml:1:1: listen: found the number 1883"}},
		{"bad address in a list", Edge, "[link]\ncores = [\"a:1\", \"b\"]\n", []string{"node.toml:2:1: link.cores: found \"b\": \"b\" is not host:port"}},
		{"bad filter", Edge, "[link]\nup = [\"a/#/b\"]\n", []string{"node.toml:2:1: link.up: found \"a/#/b\""}},
		{"filter of the system's", Edge, "[link]\nup = [\"$SYS/#\"]\n", []string{"node.toml:2:1: link.up: found \"$SYS/#\": want a filter that does not begin with $"}},
		{"bad listener", Edge, "listen = [\"http://a:1\"]\n", []string{"node.toml:1:1: listen: ", "unknown scheme"}},
		{"not a choice", Edge, "[link]\ndiscovery = \"gosip\"\n", []string{"node.toml:2:1: link.discovery: found \"gosip\": want one of seeds, static, gossip"}},
		{"bad name", Edge, "node = \"a b\"\n", []string{"node.toml:1:1: node: found \"a b\": want 1 to 64 letters"}},
		{"table for a value", Edge, "[node]\n", []string{"node.toml:1:2: node: found a table, want a value"}},
		{"value for a table", Edge, "log = \"debug\"\n", []string{"node.toml:1:1: log is a table"}},
		{"inline table", Edge, "log = { level = \"loud\" }\n", []string{"node.toml:1:9: log.level: found \"loud\": want one of debug, info, warn, error"}},
		{"not TOML", Edge, "node = \n", []string{"node.toml:1:", "not TOML"}},
		{"twice the same", Edge, "node = \"a\"\nnode = \"b\"\n", []string{"not TOML"}},
		{"several", Edge, "a1 = 1\nnode = 2\n", []string{"node.toml:1:1: unknown key a1", "node.toml:2:1: node"}},
		{"bad class", Edge, "[durability]\ndefault = \"sometimes\"\n", []string{"node.toml:2:1: durability.default: found \"sometimes\": want commit, a time from 1ms to 1h such as 50ms, or none"}},
		{"bad class in a rule", Core, "[durability]\nrules = [\n  \"a = none\", # fine\n  \"b = 2h\",\n]\n", []string{"node.toml:4:3: durability.rules: found \"b = 2h\": want commit, a time from 1ms to 1h"}},
		{"bad filter in a rule", Core, "durability.rules = [\"a/#/b = none\"]\n", []string{"node.toml:1:12: durability.rules: found \"a/#/b = none\": "}},
		{"no class in a rule", Core, "durability.rules = [\"a/b\"]\n", []string{"want \"FILTER = CLASS\", as in \"debug/# = none\""}},
		{"number among rules", Core, "durability.rules = [\n\t7,\n]\n", []string{"node.toml:2:2: durability.rules: found the number 7, want rules"}},
		{"not a disk", Edge, "profile = \"floppy\"\n", []string{"node.toml:1:1: profile: found \"floppy\": want one of standard, sd-card"}},
		{"too patient", Edge, "link.early = \"11s\"\n", []string{"node.toml:1:6: link.early: found \"11s\": want auto, off, or a time from 1ms to 10s"}},
		{"not a way out", Core, "limits.when_full = \"panic\"\n", []string{"limits.when_full: found \"panic\": want one of drop-oldest, refuse, drop-new"}},
		{"open listener", Edge, "listen = [\"0.0.0.0:1883\"]\n", []string{"node.toml:1:1: listen: 0.0.0.0:1883 is reachable", "allow_anonymous = true"}},
		{"open http", Edge, "[http]\naddress = \":80\"\n", []string{"node.toml:2:1: http.address: :80 is reachable", "http.insecure = true"}},
		{"open gossip", Core, "[gossip]\naddress = \"10.0.0.1:7946\"\n", []string{"node.toml:2:1: gossip.address: 10.0.0.1:7946 is reachable", "gossip.key_file"}},
	}
	for _, c := range cases {
		cfg := New(c.role)
		cfg.Node = "n"
		err := cfg.Load(write(t, c.text))
		if err == nil {
			err = check(cfg)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got\n  %v\nwant it to have\n  %s", c.why, err, want)
			}
		}
	}
}

func TestFileIsApplied(t *testing.T) {
	c := New(Edge)
	err := c.Load(write(t, `
node = "gw-7"
listen = ["127.0.0.1:0", "ws://127.0.0.1:0"]
log.level = "debug"
limits = { connections = 12 }
[link]
cores = ["a:1", "b:2"]
up = []
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Node != "gw-7" || c.Log.Level != "debug" || c.Limits.Connections != 12 || len(c.Link.Up) != 0 ||
		!slices.Equal(c.Link.Cores, []string{"a:1", "b:2"}) || len(c.Listen) != 2 {
		t.Errorf("got %+v", c)
	}
}

// What the operator says of durability and bounds arrives at the node.
func TestDurabilityIsRead(t *testing.T) {
	c := New(Core)
	err := c.Load(write(t, `
node = "c"
profile = "sd-card"
limits.when_full = "refuse"
limits.when_full_rules = ["debug/# = drop-new"]
[durability]
default = "250ms"
rules = ["alarm/# = commit", "debug/# = none"]
`))
	n, err2 := c.Settings()
	if err := errors.Join(err, err2, n.Check()); err != nil {
		t.Fatal(err)
	}
	want := router.Durability{
		Default: batch.Slack(250 * time.Millisecond),
		Rules:   []router.DurabilityRule{{Filter: "alarm/#", Slack: batch.Synced}, {Filter: "debug/#", Slack: batch.Unsynced}},
	}
	if !reflect.DeepEqual(n.Durability, want) || n.Profile != node.SDCard || n.Limits.WhenFull != string(overflow.Refuse) || !slices.Equal(n.Limits.WhenFullRules, []string{"debug/# = drop-new"}) {
		t.Errorf("got %+v, %q, %q", n.Durability, n.Profile, n.Limits.WhenFull)
	}
}

func TestEarlyFollowsTheProfile(t *testing.T) {
	for _, c := range []struct {
		early, profile string
		want           time.Duration
	}{
		{"auto", node.Standard, 0}, {"auto", node.SDCard, 200 * time.Millisecond}, {"off", node.SDCard, 0}, {"20ms", node.Standard, 20 * time.Millisecond},
	} {
		cfg := New(Edge)
		cfg.Link.Early, cfg.Profile = c.early, c.profile
		if got := cfg.Early(); got != c.want {
			t.Errorf("%s, %s: got %v, want %v", c.early, c.profile, got, c.want)
		}
	}
}

func TestRoleOf(t *testing.T) {
	cases := map[string]string{
		"role = \"core\"\n":             "core",
		"[link]\ncores = []\n":          "edge",
		"[link]\nadvertise = \"a:1\"\n": "core",
		"role = \"middle\"\n":           "node.toml:1:1: role: found the text \"middle\"",
		"node = \"x\"\n":                "role is missing",
	}
	for text, want := range cases {
		got, err := RoleOf(write(t, text))
		if string(got) != want && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: got %q, %v, want %s", text, got, err, want)
		}
	}
}

func parseFlags(t *testing.T, role Role, args ...string) (*Config, error) {
	t.Helper()
	set := pflag.NewFlagSet("test", pflag.ContinueOnError)
	f := Bind(set, role)
	if err := set.Parse(args); err != nil {
		return nil, err
	}
	c, err := f.Config()
	return c, errors.Join(err, check(c))
}

func TestFlagsOverrideFile(t *testing.T) {
	path := write(t, "node = \"file\"\ndata = \"from-file\"\nlisten = [\"127.0.0.1:1\"]\n[link]\ncores = [\"a:1\"]\n")
	c, err := parseFlags(t, Edge, "--node", "flag", "-c", path, "--listen", "127.0.0.1:2", "--listen", "ws://127.0.0.1:3", "--core", "b:1,c:2", "--core", "d:3")
	if err != nil {
		t.Fatal(err)
	}
	if c.Node != "flag" || c.Data != "from-file" {
		t.Errorf("got node %q, data %q, want flag, from-file", c.Node, c.Data)
	}
	if want := []string{"127.0.0.1:2", "ws://127.0.0.1:3"}; !slices.Equal(c.Listen, want) {
		t.Errorf("got listen %q, want %q", c.Listen, want)
	}
	if want := []string{"b:1", "c:2", "d:3"}; !slices.Equal(c.Link.Cores, want) {
		t.Errorf("got cores %q, want %q", c.Link.Cores, want)
	}
}

func TestEmptyFlagEmptiesAList(t *testing.T) {
	c, err := parseFlags(t, Edge, "--node", "n", "--core", "")
	if err != nil || len(c.Link.Cores) != 0 {
		t.Errorf("got %q, %v, want no cores", c.Link.Cores, err)
	}
}

func TestFlagFaults(t *testing.T) {
	cases := []struct {
		args []string
		want string
	}{
		{[]string{"--discovery", "gosip"}, "want one of seeds, static, gossip"},
		{[]string{"--core", "b"}, "is not host:port"},
		{[]string{"--listen", "0.0.0.0:1883"}, "--listen: listen: 0.0.0.0:1883 is reachable"},
		{[]string{"--http", "0.0.0.0:1"}, "--http: http.address: 0.0.0.0:1 is reachable"},
		{[]string{"--node", "-x"}, "beginning with a letter"},
		{[]string{"--nodes", "x"}, "unknown flag"},
		{[]string{"-c", "/nonexistent/x.toml"}, "no such file"},
	}
	for _, c := range cases {
		if _, err := parseFlags(t, Edge, c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.args, err, c.want)
		}
	}
}

func TestAnonymousByFlag(t *testing.T) {
	c, err := parseFlags(t, Edge, "--node", "n", "--listen", "0.0.0.0:1883", "--allow-anonymous")
	if err != nil || !c.AllowAnonymous {
		t.Errorf("got %+v, %v, want it accepted", c, err)
	}
}

func TestSecretsComeFromFiles(t *testing.T) {
	dir := t.TempDir()
	key, password := filepath.Join(dir, "key"), filepath.Join(dir, "password")
	os.WriteFile(key, []byte("MDEyMzQ1Njc4OWFiY2RlZg==\n"), 0o600)
	os.WriteFile(password, []byte("s3cret\r\nrest\n"), 0o600)
	c, err := parseFlags(t, Core, "--node", "n", "--gossip", "10.0.0.1:7946", "--gossip-key-file", key, "--link-username", "u", "--link-password-file", password)
	if err != nil {
		t.Fatal(err)
	}
	n, err := c.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if string(n.Gossip.Key) != "0123456789abcdef" || string(n.Dial.Password) != "s3cret" || n.Dial.Username != "u" {
		t.Errorf("got key %q, login %q %q", n.Gossip.Key, n.Dial.Username, n.Dial.Password)
	}
	os.WriteFile(key, []byte("MDEy\n"), 0o600)
	n, err = c.Complete()
	if err := c.Place(errors.Join(err, n.Check())); err == nil || !strings.Contains(err.Error(), "--gossip-key-file: gossip.key_file: the key has 3 bytes") {
		t.Errorf("got %v, want the short key refused with its flag", err)
	}
}
