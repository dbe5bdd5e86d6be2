package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"mangrove/internal/metrics"
	"mangrove/mqtt"
	"mangrove/mqtt/client"
	"mangrove/mqtt/packet"
)

// pencil is the user of the example of RFC 7677, section 3.
func pencil(t testing.TB) string {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	s, err := newScram("pencil", salt, 4096)
	if err != nil {
		t.Fatal(err)
	}
	return s.String()
}

func TestScramOfTheRFC(t *testing.T) {
	g := guard(t, Config{}, "user:"+pencil(t))
	c := &mqtt.Client{}
	x, err := g.Authority.(mqtt.Exchanger).Begin(c, "SCRAM-SHA-256")
	if err != nil {
		t.Fatal(err)
	}
	x.(*scramRun).nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	for i, step := range []struct{ say, want string }{
		{"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"},
		{"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
	} {
		got, done, err := x.Step([]byte(step.say))
		if string(got) != step.want || done != (i == 1) || err != nil {
			t.Fatalf("step %d: got %q, %v, %v; want %q", i, got, done, err, step.want)
		}
	}
	if c.Username != "user" || !c.HasUser {
		t.Errorf("got user %q, want user", c.Username)
	}
}

// exchange runs our client against g.
func (g *guarded) exchange(user, password string) (name string, err error) {
	c := &mqtt.Client{}
	server, err := g.Authority.(mqtt.Exchanger).Begin(c, ScramMethod)
	if err != nil {
		return "", err
	}
	mine := client.NewScram(user, password)
	data, err := mine.Begin()
	if err != nil {
		return "", err
	}
	for {
		answer, done, err := server.Step(data)
		if err != nil {
			return "", err
		}
		if data, err = mine.Next(answer, done); err != nil || done {
			return c.Username, err
		}
	}
}

func TestScramExchange(t *testing.T) {
	reg := metrics.New()
	g := guard(t, Config{Metrics: reg}, "alice:"+cheap("one"), "alice:"+pencil(t), "a=b,c:"+pencil(t), "bob:"+cheap("two"))
	for _, test := range []struct {
		user, password string
		want           packet.ReasonCode
	}{
		{"alice", "pencil", packet.Success},
		{"a=b,c", "pencil", packet.Success},
		{"alice", "one", packet.BadUserNameOrPassword},
		{"alice", "", packet.BadUserNameOrPassword},
		{"bob", "two", packet.BadUserNameOrPassword}, // has no line for it
		{"nobody", "pencil", packet.BadUserNameOrPassword},
	} {
		name, err := g.exchange(test.user, test.password)
		var got *packet.Error
		switch {
		case test.want == packet.Success && (err != nil || name != test.user):
			t.Errorf("%s: got %q, %v, want to be let in", test.user, name, err)
		case test.want != packet.Success && (!errors.As(err, &got) || got.Reason != test.want):
			t.Errorf("%s: got %v, want %v", test.user, err, test.want)
		}
	}
	g.want("alice", "one", packet.Success) // the other line
	g.want("a=b,c", "pencil", packet.BadUserNameOrPassword)
	if got := reg.Counter("mangrove_auth_accepted_total").Get(); got != 3 {
		t.Errorf("got %d accepted, want 3", got)
	}
}

// A name that does not exist gets the same answer twice, in the form of one that does.
func TestScramDoesNotTellWhoExists(t *testing.T) {
	g := guard(t, Config{}, "alice:"+ScramHash("x"))
	ask := func(name string) string {
		x, err := g.Authority.(mqtt.Exchanger).Begin(&mqtt.Client{}, ScramMethod)
		if err != nil {
			t.Fatal(err)
		}
		out, _, err := x.Step([]byte("n,,n=" + name + ",r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(out), ",")
		return rest
	}
	one, again, other := ask("nobody"), ask("nobody"), ask("no-one")
	if one != again || one == other || len(one) != len(ask("alice")) || !strings.HasSuffix(one, ",i=15000") {
		t.Errorf("got %q, %q and %q", one, again, other)
	}
}

func TestScramMethodNotOffered(t *testing.T) {
	for name, g := range map[string]*guarded{
		"other method": guard(t, Config{}, "a:"+pencil(t)),
		"nobody's":     guard(t, Config{}, "a:"+cheap("x")),
	} {
		method := ScramMethod
		if name == "other method" {
			method = "SCRAM-SHA-1"
		}
		_, err := g.Authority.(mqtt.Exchanger).Begin(&mqtt.Client{}, method)
		var got *packet.Error
		if !errors.As(err, &got) || got.Reason != packet.BadAuthenticationMethod { // [MQTT-4.12.0-1]
			t.Errorf("%s: got %v, want 0x8C", name, err)
		}
	}
}

func TestScramMessagesThatAreNone(t *testing.T) {
	g := guard(t, Config{}, "user:"+pencil(t))
	begin := "n,,n=user,r=abc"
	for name, messages := range map[string][]string{
		"empty twice":           {"", ""},
		"no header":             {"n=user,r=abc"},
		"channel binding":       {"p=tls-unique,,n=user,r=abc"},
		"somebody else":         {"n,a=root,n=user,r=abc"},
		"no nonce":              {"n,,n=user"},
		"empty nonce":           {"n,,n=user,r="},
		"empty name":            {"n,,n=,r=abc"},
		"name not escaped":      {"n,,n=a=b,r=abc"},
		"mandatory extension":   {"n,,m=x,n=user,r=abc"},
		"long":                  {"n,,n=user,r=" + strings.Repeat("a", maxScram)},
		"no proof":              {begin, "c=biws,r=abc"},
		"proof of other length": {begin, "c=biws,r=abc,p=AAAA"},
		"proof is no base64":    {begin, "c=biws,r=abc,p=!"},
		"other nonce":           {begin, "c=biws,r=abc,p=" + base64.StdEncoding.EncodeToString(make([]byte, 32))},
		"long proof":            {begin, "c=biws,p=" + strings.Repeat("A", maxScram)},
	} {
		x, err := g.Authority.(mqtt.Exchanger).Begin(&mqtt.Client{}, ScramMethod)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range messages {
			_, done, err := x.Step([]byte(m))
			var got *packet.Error
			last := i == len(messages)-1
			if done || last && (!errors.As(err, &got) || got.Reason != packet.NotAuthorized) || !last && err != nil {
				t.Errorf("%s, message %d: got %v, %v", name, i, done, err)
			}
		}
	}
}

func TestScramLines(t *testing.T) {
	good := pencil(t)
	if s, err := parseScram(good); err != nil || s.String() != good {
		t.Errorf("got %v, %v, want %s back", s, err, good)
	}
	if one, other := ScramHash("x"), ScramHash("x"); one == other {
		t.Error("the same password gave the same keys twice: no salt")
	}
	for name, text := range map[string]string{
		"is there already": "a:" + good + "\na:" + good,
		"want":             "a:SCRAM-SHA-256$4096:abc",
		"iterations":       "a:" + strings.Replace(good, "4096", "4095", 1),
		"not base64":       "a:" + strings.Replace(good, "W22", "!!!", 1),
		"salt has":         "a:" + strings.Replace(good, "W22ZaJ0SNY7soEsUEjb6gQ==", "AAAA", 1),
		"ServerKey has":    "a:" + good[:strings.LastIndex(good, ":")+1] + "AAAA",
	} {
		if _, err := parseUsers("f", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), name) || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("got %v, want it to say %q", err, name)
		}
	}
}

// FuzzScram gives arbitrary messages to the server's side: they may be refused, not let in, not panic.
func FuzzScram(f *testing.F) {
	f.Add("n,,n=user,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=user,n=us=2Cer,r=abc,x=y", "c=eSxhPXVzZXIs,r=abc,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	list, err := parseUsers("f", strings.NewReader("user:"+pencil(f)))
	if err != nil {
		f.Fatal(err)
	}
	reg := metrics.New()
	p := &Passwords{accepted: reg.Counter("a"), denied: reg.Counter("d")}
	f.Fuzz(func(t *testing.T, first, second string) {
		x := &scramRun{p: p, list: list, client: &mqtt.Client{}, nonce: "server"}
		if _, _, err := x.Step([]byte(first)); err != nil {
			return
		}
		if _, done, _ := x.Step([]byte(second)); done {
			t.Fatalf("let in by %q, %q", first, second)
		}
	})
}
