package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"mangrove/internal/store"
)

func TestDataCommands(t *testing.T) {
	dir := t.TempDir()
	node, copied, file := filepath.Join(dir, "node"), filepath.Join(dir, "copy"), filepath.Join(dir, "file")
	s, err := store.Open(store.Config{Dir: node})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ line, want string }{
		{"check " + node, "0 records, 0 message bodies"},
		{"backup " + node + " " + file, ""},
		{"restore " + file + " " + copied, ""},
		{"compact " + copied, "bytes, before"},
		{"check " + copied, "0 records"},
	} {
		var out bytes.Buffer
		root := newRoot()
		root.SetOut(&out)
		root.SetArgs(append([]string{"data"}, strings.Fields(c.line)...))
		if err := root.Execute(); err != nil || !strings.Contains(out.String(), c.want) {
			t.Errorf("data %s: got %q, %v, want %q", c.line, out.String(), err, c.want)
		}
	}
	for _, line := range []string{"check " + dir + "/none", "backup " + dir + "/none " + dir + "/x", "restore " + file + " " + copied} {
		root := newRoot()
		root.SetOut(new(bytes.Buffer))
		root.SetErr(new(bytes.Buffer))
		root.SetArgs(append([]string{"data"}, strings.Fields(line)...))
		if err := root.Execute(); err == nil {
			t.Errorf("data %s: got no error", line)
		}
	}
}
