package sim

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// The write during which the power goes may reach the medium, in part; those after it do not.
func TestNothingIsWrittenWithoutPower(t *testing.T) {
	last := 0
	for seed := range uint64(50) {
		d := NewDisk()
		f, err := d.Open("file", true)
		if err == nil {
			_, err = f.WriteAt([]byte("synced"), 0)
		}
		if err := errors.Join(err, f.Sync(), d.SyncDir()); err != nil {
			t.Fatal(err)
		}
		d.CutAt(1)
		for i, text := range []string{"last", "later", "later still"} {
			if _, err := f.WriteAt([]byte(text), int64(6+20*i)); !errors.Is(err, ErrPowerCut) {
				t.Fatalf("write %q: got %v, want ErrPowerCut", text, err)
			}
		}
		d.Restart(rand.New(rand.NewPCG(seed, 0)))
		f, err = d.Open("file", false)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		n, _ := f.ReadAt(got, 0) // to the end
		if got = got[:n]; !bytes.HasPrefix(got, []byte("synced")) || n > len("syncedlast") {
			t.Fatalf("got %q, want what was synced and at most the last write", got)
		}
		if n == len("syncedlast") {
			last++
		}
	}
	if last == 0 {
		t.Error("the last write never reached the medium")
	}
}
