package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/internal/auth"
	"mangrove/mqtt"
)

// passwd runs the command with a password on its input.
func passwd(t *testing.T, password string, args ...string) error {
	t.Helper()
	cmd := newPasswdCommand()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(password + "\n"))
	return cmd.Execute()
}

func TestPasswdWritesWhatTheAuthorityReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwords")
	if err := os.WriteFile(path, []byte("# users\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ password, user string }{{"old", "ann"}, {"secret", "bob"}, {"new", "ann"}} {
		if err := passwd(t, step.password, "--scram", path, step.user); err != nil {
			t.Fatal(err)
		}
	}
	if err := passwd(t, "x", path, "eve"); err != nil {
		t.Fatal(err)
	}
	if err := passwd(t, "", "--remove", path, "eve"); err != nil {
		t.Fatal(err)
	}
	authority, err := auth.New(auth.Config{PasswordFile: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user, password string
		good           bool
	}{{"ann", "new", true}, {"ann", "old", false}, {"bob", "secret", true}, {"eve", "x", false}} {
		err := authority.Authenticate(&mqtt.Client{Username: c.user, Password: []byte(c.password), HasUser: true})
		if (err == nil) != c.good {
			t.Errorf("%s with %q: got %v, want it let in: %v", c.user, c.password, err, c.good)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "# users\nann:") {
		t.Errorf("got %q, %v; want the comment and the order kept", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("got mode %v, %v; want it kept", info.Mode(), err)
	}
}

func TestPasswdRefusesNamesThatCannotBe(t *testing.T) {
	for _, name := range []string{"", "a:b", "#c"} {
		if err := passwd(t, "x", filepath.Join(t.TempDir(), "passwords"), name); err == nil {
			t.Errorf("user name %q: got no error", name)
		}
	}
}
