package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// A node that cannot have its data folder says which, why, and what to do.
func TestFolderThatANodeCannotHave(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, n *node) // the node was killed
		code  int
		want  []string // in what it says
	}{
		{"in use by another process", func(t *testing.T, n *node) {
			other := newNode(t, n.dir, n.args[:3])
			other.start()
		}, 1, []string{"data folder is in use by another process (process ", "stop it, or give this node a folder of its own"}},
		{"written by a newer version", newerFormat, 1, []string{"data folder was written by a newer version", "restore a backup made before the upgrade"}},
		{"damage in the middle of the log", damageLog, 1, []string{"00000000000000000001.log, offset 4", "restore a backup"}},
		{"damage in the database", damageDatabase, 1, []string{"state.db: data file is damaged", "restore a backup"}},
		{"no folder but a file", func(t *testing.T, n *node) {
			if err := os.RemoveAll(n.dir); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(n.dir, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, 1, []string{"is not a folder"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := startNode(t, []string{"edge", "--node", "edge-a"})
			sub := dial(t, n.addr(), "away")
			sub.subscribe("t/#", 1)
			sub.disconnect()
			pub := dial(t, n.addr(), "sensor")
			pub.publishNumbered("t/1", "m", 0, 50, 1)
			n.kill()
			c.spoil(t, n)
			code, log := n.startFails()
			if code != c.code {
				t.Errorf("got exit code %d, want %d", code, c.code)
			}
			for _, want := range append(c.want, n.dir) {
				if !strings.Contains(log, want) {
					t.Errorf("got no %q", want)
				}
			}
			t.Log(log)
		})
	}
}

// newerFormat makes the folder one of a version to come.
func newerFormat(t *testing.T, n *node) {
	db, err := bolt.Open(filepath.Join(n.dir, "state.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 1, 0})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// damageLog changes bytes of a record that others follow.
func damageLog(t *testing.T, n *node) {
	damage(t, filepath.Join(n.dir, "log", "00000000000000000001.log"), 4096+16, 16)
}

// damageDatabase changes every page but the two heads.
func damageDatabase(t *testing.T, n *node) {
	path := filepath.Join(n.dir, "state.db")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, path, 2*4096, int(info.Size())-2*4096)
}

func damage(t *testing.T, path string, at int64, size int) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xAA}, size), at); err != nil {
		t.Fatal(err)
	}
}
