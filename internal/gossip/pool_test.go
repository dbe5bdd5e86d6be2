package gossip

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"mangrove/internal/metrics"
)

func TestMain(m *testing.M) {
	// memberlist ends its own goroutines after Shutdown has returned; goleak waits for them.
	goleak.VerifyTestMain(m)
}

// config is that of a node on loopback.
func config(name string, join ...string) Config {
	return Config{Name: name, Bind: "127.0.0.1:0", Join: join, Profile: Local,
		Meta: Meta{Role: "core", Store: uint64(len(name)), Link: name + ":1"}}
}

func start(t *testing.T, cfg Config) *Pool {
	t.Helper()
	p, err := Start(cfg)
	if err != nil {
		t.Fatalf("Start(%s): %v", cfg.Name, err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("Close(%s): %v", cfg.Name, err)
		}
	})
	return p
}

// kill ends p as a crash would: without goodbye.
func kill(t *testing.T, p *Pool) {
	t.Helper()
	p.closing.Do(func() { p.closeErr = p.stop() })
	if p.closeErr != nil {
		t.Fatalf("kill %s: %v", p.cfg.Name, p.closeErr)
	}
}

// wantMembers waits until p sees exactly these, written "name" or "name (suspect)".
func wantMembers(t *testing.T, p *Pool, want ...string) {
	t.Helper()
	wantSoon(t, fmt.Sprintf("%s sees %q", p.cfg.Name, want), func() (string, bool) {
		got := names(p.Members())
		return fmt.Sprintf("%q", got), slices.Equal(got, want)
	})
}

// wantSoon waits until cond holds, some seconds at most.
func wantSoon(t *testing.T, what string, cond func() (got string, ok bool)) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(15 * time.Second)
	for {
		got, ok := cond()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("got %s, want %s", got, what)
		}
	}
}

func TestNodesFindEachOther(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	b := start(t, config("b", a.Addr()))
	began := time.Now()
	c := start(t, config("c", a.Addr()))
	wantMembers(t, a, "b", "c")
	wantMembers(t, b, "a", "c")
	wantMembers(t, c, "a", "b")
	t.Logf("the third node was known everywhere after %v", time.Since(began))
	got := c.Members()[0]
	if want := (Member{Name: "a", Addr: a.Addr(), Meta: config("a").Meta, State: Alive}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestEncryptedNodesFindEachOther(t *testing.T) {
	t.Parallel()
	cfg := func(name string, join ...string) Config {
		c := config(name, join...)
		c.Key = bytes.Repeat([]byte{7}, 32)
		return c
	}
	a := start(t, cfg("a"))
	b := start(t, cfg("b", a.Addr()))
	wantMembers(t, a, "b")
	wantMembers(t, b, "a")
}

// freeAddr is a loopback address that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestSeedThatComesLater(t *testing.T) {
	t.Parallel()
	seed := freeAddr(t)
	reg := metrics.New()
	cfg := config("b", seed)
	cfg.Metrics = reg
	b := start(t, cfg)
	failures := reg.Counter("mangrove_gossip_join_failures_total")
	wantSoon(t, "a failed join", func() (string, bool) { return fmt.Sprint(failures.Get()), failures.Get() > 0 })
	late := config("a")
	late.Bind = seed
	a := start(t, late)
	wantMembers(t, b, "a")
	wantMembers(t, a, "b")
}

// A seed may be a host's name, another seed once more, or the node itself.
func TestSeedsOfAllKinds(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	self := freeAddr(t)
	cfg := config("b", a.Addr(), self, "localhost:"+strings.Split(a.Addr(), ":")[1])
	cfg.Bind = self
	b := start(t, cfg)
	wantMembers(t, a, "b")
	wantMembers(t, b, "a")
}

// Who says goodbye leaves the list at once and is nobody's suspect.
func TestLeave(t *testing.T) {
	t.Parallel()
	var seen recorder
	cfg := config("a")
	cfg.OnChange = seen.add
	a := start(t, cfg)
	b := start(t, config("b", a.Addr()))
	wantMembers(t, a, "b")
	wantMembers(t, b, "a") // it says goodbye to those it knows
	for range 2 {
		if err := b.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	wantMembers(t, a)
	wantSoon(t, "OnChange with b, then nobody", func() (string, bool) {
		got := seen.String()
		return got, got == "[b] []"
	})
}

// recorder keeps what OnChange said.
type recorder struct {
	mu  sync.Mutex
	all []string
}

func (r *recorder) add(members []Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprint(names(members)))
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.all, " ")
}

// A death makes a suspect, which is gone after SuspectFor.
func TestKill(t *testing.T) {
	t.Parallel()
	var seen recorder
	cfg := config("a")
	cfg.OnChange, cfg.SuspectFor = seen.add, 300*time.Millisecond
	a := start(t, cfg)
	b := start(t, config("b", a.Addr()))
	wantMembers(t, a, "b")
	kill(t, b)
	wantMembers(t, a)
	wantSoon(t, "OnChange with b, b suspect, nobody", func() (string, bool) {
		got := seen.String()
		return got, got == "[b] [b (suspect)] []"
	})
}

// A killed node comes back under its name at another address: one member, the new one.
func TestComeBackElsewhere(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	c := start(t, config("c", a.Addr()))
	b := start(t, config("b", a.Addr()))
	wantMembers(t, a, "b", "c")
	kill(t, b)
	again := start(t, config("b", a.Addr()))
	for _, p := range []*Pool{a, c} {
		wantSoon(t, "b at "+again.Addr(), func() (string, bool) {
			m := p.Members()
			return fmt.Sprint(m), slices.ContainsFunc(m, func(m Member) bool { return m.Name == "b" && m.Addr == again.Addr() })
		})
		wantMembers(t, p, map[*Pool][]string{a: {"b", "c"}, c: {"a", "b"}}[p]...)
	}
	wantMembers(t, again, "a", "c")
}

// A fresh node with an old name, its store lost, at the same address.
func TestFreshNodeWithOldName(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	b := start(t, config("b", a.Addr()))
	wantMembers(t, a, "b")
	kill(t, b)
	cfg := config("b", a.Addr())
	cfg.Bind, cfg.Meta.Store = b.Addr(), 4711
	again := start(t, cfg)
	wantSoon(t, "b with store 4711", func() (string, bool) {
		m := a.Members()
		return fmt.Sprint(m), len(m) == 1 && m[0].Meta.Store == 4711 && m[0].State == Alive
	})
	wantMembers(t, again, "a")
}

// A node that lost everybody for longer than memberlist remembers the dead finds them again, also
// without a seed of its own.
func TestPoolHeals(t *testing.T) {
	t.Parallel()
	cfg := config("a")
	cfg.SuspectFor = 50 * time.Millisecond
	a := start(t, cfg)
	b := start(t, config("b", a.Addr()))
	wantMembers(t, a, "b")
	kill(t, b)
	wantMembers(t, a)
	back := config("b") // knows nobody
	back.Bind = b.Addr()
	again := start(t, back)
	wantMembers(t, a, "b")
	wantMembers(t, again, "a")
}

func TestOtherKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a, b []byte
	}{
		{"two keys", bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 16)},
		{"key against none", bytes.Repeat([]byte{1}, 16), nil},
		{"none against key", nil, bytes.Repeat([]byte{2}, 16)},
	} {
		t.Run(c.name, func(t *testing.T) {
			ca := config("a")
			ca.Key = c.a
			a := start(t, ca)
			reg := metrics.New()
			cb := config("b", a.Addr())
			cb.Key, cb.Metrics = c.b, reg
			b := start(t, cb)
			failures := reg.Counter("mangrove_gossip_join_failures_total")
			wantSoon(t, "3 failed joins", func() (string, bool) { return fmt.Sprint(failures.Get()), failures.Get() >= 3 })
			if got := len(a.Members()) + len(b.Members()); got != 0 {
				t.Errorf("got %d members, want 0", got)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		why  string
		edit func(*Config)
		want string
	}{
		{"no name", func(c *Config) { c.Name = "" }, "name"},
		{"long name", func(c *Config) { c.Name = strings.Repeat("n", 129) }, "name"},
		{"no port", func(c *Config) { c.Bind = "127.0.0.1" }, "bind"},
		{"short key", func(c *Config) { c.Key = []byte("short") }, "key"},
		{"open to the world", func(c *Config) { c.Bind = "0.0.0.0:0" }, "loopback"},
		{"nowhere to be found", func(c *Config) { c.Bind, c.Unencrypted = "[::]:0", true }, "advertise"},
		{"unknown profile", func(c *Config) { c.Profile = "wan" }, "profile"},
		{"long site", func(c *Config) { c.Meta.Site = strings.Repeat("s", 256) }, "meta"},
		{"long meta", func(c *Config) {
			c.Meta.Site, c.Meta.Link = strings.Repeat("s", 250), strings.Repeat("l", 250)
		}, "meta"},
		{"negative weight", func(c *Config) { c.Meta.Weight = -1 }, "weight"},
		{"bad advertise", func(c *Config) { c.Advertise = "127.0.0.1:x" }, "advertise"},
	} {
		t.Run(c.why, func(t *testing.T) {
			cfg := config("a")
			c.edit(&cfg)
			p, err := Start(cfg)
			if err == nil {
				p.Close()
				t.Fatalf("got no error, want one about %s", c.want)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %q, want one about %s", err, c.want)
			}
		})
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	cfg := config("b")
	cfg.Bind = a.Addr()
	if p, err := Start(cfg); err == nil {
		p.Close()
		t.Fatal("got two pools on one port")
	}
}

func TestAdvertise(t *testing.T) {
	t.Parallel()
	a := start(t, config("a"))
	cfg := config("b", a.Addr())
	cfg.Bind, cfg.Unencrypted = "127.0.0.1:0", false
	cfg.Advertise = "localhost"
	b := start(t, cfg)
	wantMembers(t, a, "b")
	if got, want := a.Members()[0].Addr, b.Addr(); got != want || !strings.HasPrefix(got, "127.0.0.1:") {
		t.Errorf("got address %s, want %s", got, want)
	}
}
