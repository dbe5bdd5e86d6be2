package repotest

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mangrove/bridge"
	"mangrove/bridge/remote"
	firmwaresim "mangrove/firmware-sim"
	"mangrove/internal/auth"
	"mangrove/internal/bench"
	"mangrove/internal/gossip"
	"mangrove/internal/store"
	"mangrove/internal/wal"
	"mangrove/mqtt"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/client"
	"mangrove/mqtt/router"
	"mangrove/mqtt/transport"
	"mangrove/retain"
	"mangrove/session"
)

// configured is a Config whose numbers are tried.
type configured struct {
	dir      string // of its package
	name     string // of its type
	config   any    // pointer to one that is valid with every number at zero but those in required
	required []string
	positive int64        // what is tried besides zero and -1; 0 = 64
	start    func() error // what the package does with config; it closes what it has opened
}

var errDialled = errors.New("dialled")

// dialled makes nil of the error of a Dial that got as far as dialling.
func dialled(err error) error {
	if errors.Is(err, errDialled) {
		return nil
	}
	return err
}

func noDial(context.Context, string) (net.Conn, error) { return nil, errDialled }

func configs(t *testing.T) []configured {
	t.Helper()
	st, err := store.Open(store.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	r := router.New(router.Config{Life: 1, NextID: st.NextID})
	sessions, err := session.New(session.Config{Router: r})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sessions.Close)
	var (
		auths     = auth.Config{}
		benches   = bench.Config{Scenario: "p2p"}
		bridges   = bridge.Config{Node: "n", Role: bridge.RoleEdge, Store: st, Router: r}
		brokers   = broker.Config{Router: r, Sessions: sessions}
		clients   = client.Config{Addr: "127.0.0.1:1", Dial: noDial}
		devices   = firmwaresim.Config{Brokers: []string{"127.0.0.1:1"}, Devices: 1, Duration: time.Second}
		gossips   = gossip.Config{Name: "n", Bind: "127.0.0.1:0", Profile: gossip.Local}
		listeners = transport.Config{}
		dials     = transport.DialConfig{}
		limits    = broker.Limits{}
		logs      = wal.Config{}
		remotes   = remote.Config{Addr: "127.0.0.1:1", ClientID: "c", Dial: noDial,
			OnMessage: func(*mqtt.Message, uint16, uint32) {}, OnAck: func(uint64, byte) {}}
		retained = retain.Config{}
		owed     = session.Config{Router: r}
		stores   = store.Config{}
	)
	return []configured{
		{dir: "internal/auth", name: "Config", config: &auths, start: func() error { _, err := auth.New(auths); return err }},
		{dir: "internal/bench", name: "Config", config: &benches, start: func() error { c := benches; return c.Check() }},
		{dir: "bridge", name: "Config", config: &bridges, start: func() error {
			b, err := bridge.New(bridges)
			if err != nil {
				return err
			}
			return b.Close(context.Background())
		}},
		{dir: "bridge/remote", name: "Config", config: &remotes, start: func() error {
			_, err := remote.Dial(context.Background(), remotes)
			return dialled(err)
		}},
		{dir: "mqtt/broker", name: "Config", config: &brokers, start: func() error { _, err := broker.New(brokers); return err }},
		{dir: "mqtt/broker", name: "Limits", config: &limits, positive: 2, start: func() error {
			c := brokers
			c.Listeners = []broker.ListenerConfig{{Addr: "127.0.0.1:0", Limits: limits}}
			_, err := broker.New(c)
			return err
		}},
		{dir: "mqtt/client", name: "Config", config: &clients, start: func() error {
			_, err := client.Dial(context.Background(), clients)
			return dialled(err)
		}},
		{dir: "firmware-sim", name: "Config", config: &devices, required: []string{"Devices", "Duration"},
			start: func() error { c := devices; return c.Check() }},
		{dir: "internal/gossip", name: "Config", config: &gossips, start: func() error {
			p, err := gossip.Start(gossips)
			if err != nil {
				return err
			}
			return p.Close()
		}},
		{dir: "mqtt/transport", name: "Config", config: &listeners, start: func() error {
			l, err := transport.Listen("127.0.0.1:0", listeners)
			if err != nil {
				return err
			}
			return l.Close()
		}},
		{dir: "mqtt/transport", name: "DialConfig", config: &dials, start: func() error {
			_, err := transport.Dial(context.Background(), "unix:///nobody/is/here", dials)
			if refused := new(net.OpError); errors.As(err, &refused) {
				return nil // it has dialled
			}
			return err
		}},
		{dir: "internal/wal", name: "Config", config: &logs, positive: 1 << 20, start: func() error {
			c := logs
			c.Dir = t.TempDir()
			l, err := wal.Open(c)
			if err != nil {
				return err
			}
			return l.Close()
		}},
		{dir: "retain", name: "Config", config: &retained, start: func() error {
			s, err := retain.New(retained)
			if err != nil {
				return err
			}
			return s.Close()
		}},
		{dir: "session", name: "Config", config: &owed, start: func() error {
			m, err := session.New(owed)
			if err == nil {
				m.Close()
			}
			return err
		}},
		{dir: "internal/store", name: "Config", config: &stores, positive: 1 << 20, start: func() error {
			c := stores
			c.Dir = t.TempDir()
			s, err := store.Open(c)
			if err != nil {
				return err
			}
			return s.Close()
		}},
	}
}

// The rule of package setting holds for every number of every Config: zero works; negative works where the field's comment
// says what it means, and is refused by the field's name elsewhere.
func TestZeroAndNegativeInEveryConfig(t *testing.T) {
	for _, c := range configs(t) {
		comments := commentsOf(t, c.dir, c.name)
		tried := 0
		each(reflect.ValueOf(c.config).Elem(), "", func(name string, field reflect.Value) {
			tried++
			top, _, _ := strings.Cut(name, ".")
			comment := strings.ToLower(comments[top])
			try := func(n int64) error {
				before := reflect.New(field.Type()).Elem()
				before.Set(field)
				defer field.Set(before)
				set(field, n)
				return c.start()
			}
			where := c.dir + "." + c.name + "." + name
			if err := try(0); err != nil && !slices.Contains(c.required, name) {
				t.Errorf("%s: zero: got %v, want the default", where, err)
			}
			most := c.positive
			if most == 0 {
				most = 64
			}
			if err := try(most); err != nil {
				t.Errorf("%s: %d: got %v, want no error", where, most, err)
			}
			if field.CanUint() {
				return
			}
			err := try(-1)
			switch allowed := strings.Contains(comment, "negative"); {
			case allowed && err != nil:
				t.Errorf("%s: negative: got %v, want what the comment says: %q", where, err, comments[top])
			case !allowed && err == nil:
				t.Errorf("%s: negative: got no error, and the comment says nothing of negative: %q", where, comments[top])
			case err != nil && !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])) && !slices.Contains(c.required, name):
				t.Errorf("%s: negative: got %q, want an error that names the field", where, err)
			}
		})
		if tried == 0 {
			t.Errorf("%s.%s has no numbers: leave it out", c.dir, c.name)
		}
	}
}

// untried are Configs with numbers that are not in configs, and why the rule is not for them.
var untried = map[string]string{
	"bridge/lane.Config":       "made of a bridge.Config that was checked",
	"bridge/seen.Config":       "likewise",
	"edge.Config":              "its one time goes into a bridge.Config",
	"core.Config":              "its weight is checked by node.Fault, its time goes into a bridge.Config",
	"mqtt/router.Config":       "its number is a name",
	"cmd/internal/demo.Config": "made of flags that were checked",
}

// A new Config with numbers is tried too.
func TestEveryConfigIsTried(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range configs(t) {
		tried[c.dir+"."+c.name] = true
	}
	number := regexp.MustCompile(`(?m)^\t\w+(, \w+)* +(u?int\d*|float64|time\.Duration)( |$)`)
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		name := strings.TrimPrefix(filepath.ToSlash(path), "../../")
		for _, body := range find(`(?ms)^type Config struct \{\n(.*?)^\}`, read(t, name)) {
			if number.MatchString(body) {
				found[filepath.ToSlash(filepath.Dir(name))+".Config"] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for c := range found {
		if !tried[c] && untried[c] == "" {
			t.Errorf("%s has numbers: add it to configs, or say in untried why not", c)
		}
	}
	for c := range untried {
		if !found[c] {
			t.Errorf("%s has no numbers, or is not there: take it out of untried", c)
		}
	}
}

// each calls fn for the numbers in v, an addressable struct, and in the structs of the same package inside it.
func each(v reflect.Value, prefix string, fn func(name string, field reflect.Value)) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		switch field := v.Field(i); {
		case !f.IsExported():
		case field.Kind() == reflect.Struct && f.Type.PkgPath() == v.Type().PkgPath():
			each(field, prefix+f.Name+".", fn)
		case f.Name == "Version" || f.Name == "QoS" || f.Name == "Seed": // names of something, not amounts
		case field.CanInt() || field.CanUint() || field.CanFloat():
			fn(prefix+f.Name, field)
		}
	}
}

// set sets a number; a time is in seconds.
func set(field reflect.Value, n int64) {
	switch {
	case field.Type() == reflect.TypeFor[time.Duration]():
		field.SetInt(n * int64(time.Second))
	case field.CanInt():
		field.SetInt(n)
	case field.CanUint():
		field.SetUint(uint64(n))
	default:
		field.SetFloat(float64(n))
	}
}

// commentsOf reads what stands at each field of a struct. A field without a comment has that of the one above it.
func commentsOf(t *testing.T, dir, name string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != name {
				return true
			}
			last := ""
			for _, f := range spec.Type.(*ast.StructType).Fields.List {
				if text := f.Doc.Text() + f.Comment.Text(); text != "" {
					last = text
				}
				for _, n := range f.Names {
					comments[n.Name] = last
				}
			}
			return false
		})
	}
	return comments
}
