package auth

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mangrove/internal/metrics"
	"mangrove/mqtt"
	"mangrove/mqtt/packet"
)

func TestTopicsTheNodeKeepsForItself(t *testing.T) {
	for _, c := range []struct {
		text               string
		publish, subscribe bool
	}{
		{"a/b", true, true},
		{"$link/data", false, false},
		{"$link", false, false},
		{"$links/data", true, true},
		{"$share/g/$link/#", true, false},
		{"$share/g/a/#", true, true},
		{"$SYS/broker/uptime", false, true},
		{"$SYS", false, true},
		{"$SYSTEM/x", true, true},
		{"#", true, true},
	} {
		var o Open
		if got := o.MayPublish(nil, c.text); got != c.publish {
			t.Errorf("publish %q: got %v, want %v", c.text, got, c.publish)
		}
		if got := o.MaySubscribe(nil, c.text); got != c.subscribe {
			t.Errorf("subscribe %q: got %v, want %v", c.text, got, c.subscribe)
		}
	}
}

// cheap is a hash that takes no time, for tests.
func cheap(password string) string {
	h := hash{memory: 8, passes: 1, threads: 1, salt: []byte("saltsalt")}
	h.sum = h.of([]byte(password), 32)
	return h.String()
}

// The vector was made with the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1.
func TestHashOfTheReferenceImplementation(t *testing.T) {
	h, err := parseHash("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil {
		t.Fatal(err)
	}
	if !h.matches([]byte("password")) {
		t.Error("the password does not match")
	}
	if h.matches([]byte("passwore")) {
		t.Error("another password matches")
	}
}

func TestHashRoundTrip(t *testing.T) {
	text := Hash("secret")
	h, err := parseHash(text)
	if err != nil {
		t.Fatal(err)
	}
	if h.String() != text || !h.matches([]byte("secret")) || h.matches([]byte("")) {
		t.Errorf("%s does not come back as itself", text)
	}
	if Hash("secret") == text {
		t.Error("the same password gave the same hash twice: no salt")
	}
}

func TestMistakesInTheFileNameFileAndLine(t *testing.T) {
	good := cheap("x")
	for _, c := range []struct{ name, text, want string }{
		{"no colon", "alice\n", "f:1:"},
		{"no name", "# comment\n\n:" + good, "f:3:"},
		{"twice", "a:" + good + "\na:" + good, `f:2: user "a" is there already`},
		{"plain", "a:secret", `f:1: user "a"`},
		{"mosquitto's", "a:$7$101$abc$def==", `hash of kind`},
		{"cut", "a:" + good[:len(good)-30], "hash"},
		{"padding", "a:" + good + "=", "base64"},
		{"no memory", "a:$argon2id$v=19$m=0,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "allowed are"},
		{"much memory", "a:$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "allowed are"},
		{"more behind", "a:$argon2id$v=19$m=8,t=1,p=1,x=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "parameters"},
		{"version", "a:$argon2id$v=16$m=8,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "version"},
		{"short salt", "a:$argon2id$v=19$m=8,t=1,p=1$c2Fs$AAAAAAAAAAAAAAAAAAAAAAAAAAA", "salt has 3 bytes"},
		{"long line", "a:" + strings.Repeat("x", 5000), "f:1:"},
	} {
		if _, err := parseUsers("f", strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%s: got %v, want it to say %q", c.name, err, c.want)
		}
	}
}

// guarded is an Authority with a file that tests can change and a clock they can move.
type guarded struct {
	t    *testing.T
	path string
	mqtt.Authority
	now time.Time
}

func guard(t *testing.T, cfg Config, lines ...string) *guarded {
	t.Helper()
	g := &guarded{t: t, path: filepath.Join(t.TempDir(), "passwords"), now: time.Unix(1000, 0)}
	g.write(lines...)
	cfg.PasswordFile = g.path
	cfg.Now = func() time.Time { return g.now }
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.Authority = a
	return g
}

func (g *guarded) write(lines ...string) {
	g.t.Helper()
	if err := os.WriteFile(g.path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// want checks what a user gets for a password: 0 is let in.
func (g *guarded) want(user, password string, want packet.ReasonCode) {
	g.t.Helper()
	err := g.Authenticate(&mqtt.Client{ID: "c", Username: user, Password: []byte(password), HasUser: user != ""})
	var got packet.ReasonCode
	if err != nil {
		var e *packet.Error
		if !errors.As(err, &e) {
			g.t.Fatalf("got %T, want *packet.Error", err)
		}
		got = e.Reason
	}
	if got != want {
		g.t.Errorf("user %q, password %q: got %v, want %v", user, password, got, want)
	}
}

func TestPasswords(t *testing.T) {
	reg := metrics.New()
	g := guard(t, Config{Metrics: reg}, "# users", "", "alice:"+cheap("one"), "bob:"+cheap(""))
	for range 2 { // the second time from memory
		g.want("alice", "one", packet.Success)
	}
	g.want("alice", "two", packet.BadUserNameOrPassword)
	g.want("alice", "", packet.BadUserNameOrPassword)
	g.want("bob", "", packet.Success)
	g.want("carol", "one", packet.BadUserNameOrPassword)
	g.want("", "", packet.NotAuthorized)
	if g.MayPublish(nil, "$SYS/x") || !g.MayPublish(nil, "x") || g.MaySubscribe(nil, "$link/#") {
		t.Error("Passwords does not permit what Open does")
	}
	for name, want := range map[string]uint64{"accepted": 3, "denied": 4, "busy": 0} {
		if got := reg.Counter("mangrove_auth_" + name + "_total").Get(); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

func TestAllowAnonymous(t *testing.T) {
	g := guard(t, Config{AllowAnonymous: true}, "alice:"+cheap("one"))
	g.want("", "", packet.Success)
	g.want("alice", "wrong", packet.BadUserNameOrPassword)
}

func TestFileIsReadAgain(t *testing.T) {
	g := guard(t, Config{}, "alice:"+cheap("one"))
	g.want("alice", "one", packet.Success)
	g.write("alice:"+cheap("two"), "bob:"+cheap("b"))
	g.want("alice", "one", packet.Success) // looked at less than a second ago
	g.now = g.now.Add(lookEvery)
	g.want("alice", "one", packet.BadUserNameOrPassword)
	g.want("alice", "two", packet.Success)
	g.want("bob", "b", packet.Success)

	g.write("alice")
	g.now = g.now.Add(lookEvery)
	g.want("alice", "two", packet.Success) // a mistake: the users before stay
	if err := os.Remove(g.path); err != nil {
		t.Fatal(err)
	}
	g.now = g.now.Add(lookEvery)
	g.want("bob", "b", packet.Success)
	g.write("carol:" + cheap("c"))
	g.now = g.now.Add(lookEvery)
	g.want("carol", "c", packet.Success)
	g.want("bob", "b", packet.BadUserNameOrPassword)
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{PasswordFile: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the file does not exist", err)
	}
	if _, err := New(Config{MaxHashing: -1}); err == nil {
		t.Error("got no error for a negative bound")
	}
	if a, err := New(Config{}); err != nil || a != (Open{}) {
		t.Errorf("got %v, %v, want Open", a, err)
	}
}

func TestOnlySoManyAtATime(t *testing.T) {
	g := guard(t, Config{MaxHashing: 1, MaxWait: time.Millisecond}, "alice:"+cheap("one"))
	p := g.Authority.(*Passwords)
	p.turns <- struct{}{} // somebody is computing
	g.want("alice", "one", packet.ServerBusy)
	g.want("nobody", "one", packet.ServerBusy)
	<-p.turns
	g.want("alice", "one", packet.Success)
	p.turns <- struct{}{}
	g.want("alice", "one", packet.Success) // known: takes no turn
}

func TestConcurrentUse(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprintf("u%d:%s", i, cheap(fmt.Sprint(i))))
	}
	g := guard(t, Config{}, lines...)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			for range 20 {
				g.want(fmt.Sprint("u", i), fmt.Sprint(i), packet.Success)
				g.want(fmt.Sprint("u", i), "x", packet.BadUserNameOrPassword)
			}
		})
	}
	wg.Wait()
}

// An unknown user costs a computation with the same parameters as a known one.
func TestUnknownUserCostsTheSame(t *testing.T) {
	u, err := parseUsers("f", strings.NewReader("a:"+cheap("x")))
	if err != nil {
		t.Fatal(err)
	}
	known, nobody := u.byName["a"].hash, u.nobody
	if known.memory != nobody.memory || known.passes != nobody.passes || known.threads != nobody.threads || len(known.sum) != len(nobody.sum) {
		t.Errorf("got %v for nobody, want the parameters of %v", nobody, known)
	}
	h := &hash{memory: 4 << 10, passes: 1, threads: 1, salt: make([]byte, saltBytes)}
	h.sum = h.of([]byte("x"), sumBytes)
	g := guard(t, Config{}, "a:"+h.String())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	g.want("nobody", "x", packet.BadUserNameOrPassword)
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc < 4<<20 {
		t.Errorf("got %d bytes used for an unknown user, want the 4 MiB that a hash takes", after.TotalAlloc-before.TotalAlloc)
	}
}

func BenchmarkHash(b *testing.B) {
	h, err := parseHash(Hash("x"))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		h.matches([]byte("x"))
	}
}
