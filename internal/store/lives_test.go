package store

import (
	"bytes"
	"os"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// livesOf opens dir for owner and closes it again.
func livesOf(t *testing.T, dir, owner string) self {
	t.Helper()
	s, err := Open(Config{Dir: dir, Owner: owner})
	must(t, err)
	must(t, s.Close())
	return s.self
}

// Each start is a life of its own, and knows the earlier ones. Copies of a folder part there.
func TestLives(t *testing.T) {
	dir, image := t.TempDir(), t.TempDir()
	first := livesOf(t, dir, "a")
	must(t, os.CopyFS(image, os.DirFS(dir)))
	second, copied := livesOf(t, dir, "a"), livesOf(t, image, "a")
	if second.id != first.id || copied.id != first.id {
		t.Errorf("got ids %x and %x, want %x for both", second.id, copied.id, first.id)
	}
	if !slices.Equal(second.lives[1:], first.lives) || !slices.Equal(copied.lives[1:], first.lives) {
		t.Errorf("got %x and %x, want both to know %x", second.lives, copied.lives, first.lives)
	}
	if second.lives[0] == copied.lives[0] || slices.Contains(first.lives, second.lives[0]) {
		t.Errorf("got lives %x and %x after %x, want new ones", second.lives[0], copied.lives[0], first.lives[0])
	}
}

// A folder that starts under another name has another identity, and still knows what was its own.
func TestAnotherOwner(t *testing.T) {
	dir := t.TempDir()
	first, unnamed, other := livesOf(t, dir, "golden"), livesOf(t, dir, ""), livesOf(t, dir, "site-1")
	again := livesOf(t, dir, "site-1")
	if first.renewed || unnamed.renewed || !other.renewed || again.renewed {
		t.Errorf("got renewed %v, %v, %v, %v, want it at the third start alone", first.renewed, unnamed.renewed, other.renewed, again.renewed)
	}
	if unnamed.id != first.id || other.id == first.id || again.id != other.id {
		t.Errorf("got ids %x, %x, %x, %x, want a new one at the third", first.id, unnamed.id, other.id, again.id)
	}
	if !slices.Contains(again.lives, first.id) || !slices.Contains(again.lives, first.lives[0]) {
		t.Errorf("got lives %x, want those of %x among them", again.lives, first.lives)
	}
}

// Before there were lives messages were numbered under the id: it stays among the lives, also in a restored backup of that time.
func TestLivesOfFormat2(t *testing.T) {
	s := openTest(t, Config{})
	id := s.ID()
	must(t, s.data.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(metaBucket).Delete(metaLives) }))
	var backup bytes.Buffer
	must(t, s.Backup(&backup))
	dir := t.TempDir()
	must(t, Restore(&backup, dir))
	if restored := livesOf(t, dir, "a"); restored.id == id || !slices.Contains(restored.lives, id) {
		t.Errorf("got id %x and lives %x, want another id than %x, and that among the lives", restored.id, restored.lives, id)
	}
}

func TestLivesAreBounded(t *testing.T) {
	s := openTest(t, Config{})
	must(t, s.data.db.Update(func(tx *bolt.Tx) error {
		lives := make([]uint64, MaxLives)
		for i := range lives {
			lives[i] = uint64(i + 1)
		}
		return putLives(tx.Bucket(metaBucket), lives)
	}))
	must(t, s.Close())
	if got := livesOf(t, s.cfg.Dir, ""); len(got.lives) != MaxLives || got.lives[1] != 1 || got.lives[MaxLives-1] != MaxLives-1 {
		t.Errorf("got %d lives, the last %d, want %d, and the oldest forgotten", len(got.lives), got.lives[len(got.lives)-1], MaxLives)
	}
}
