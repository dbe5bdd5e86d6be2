package bench

import (
	"math/rand/v2"
	"testing"
)

func TestTrack(t *testing.T) {
	var tr track
	steps := []struct {
		seq  uint64
		want arrival
		lost uint64 // of the first 10
	}{
		{0, inOrder, 9}, {1, inOrder, 8}, {1, duplicated, 8}, {5, inOrder, 7}, {3, reordered, 6}, {3, duplicated, 6},
		{2, reordered, 5}, {9, inOrder, 4}, {8, reordered, 3}, {6, reordered, 2}, {7, reordered, 1}, {4, reordered, 0}, {0, duplicated, 0},
	}
	for _, s := range steps {
		if got, _ := tr.got(s.seq); got != s.want {
			t.Errorf("%d: got %d, want %d", s.seq, got, s.want)
		}
		if got := tr.lost(10); got != s.lost {
			t.Errorf("after %d: got %d lost, want %d", s.seq, got, s.lost)
		}
	}
	if len(tr.gaps) != 0 {
		t.Errorf("got gaps %v, want none", tr.gaps)
	}
}

// TestTracksAgainstASet feeds a shuffled, thinned, doubled stream to both kinds and compares what they say with
// a plain set.
func TestTracksAgainstASet(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		const n = 300
		var tr track
		var sp sparse
		var feed []uint64
		for seq := range uint64(n) {
			sp.expect(2 * seq)
			if rnd.IntN(10) > 0 {
				feed = append(feed, seq)
			}
			if rnd.IntN(10) == 0 {
				feed = append(feed, rnd.Uint64N(seq+1))
			}
		}
		for range 30 {
			i := rnd.IntN(len(feed) - 5)
			feed[i], feed[i+4] = feed[i+4], feed[i]
		}
		had, top, gone := map[uint64]bool{}, -1, 0
		for _, seq := range feed {
			want := inOrder
			switch {
			case had[seq]:
				want = duplicated
			case int(seq) < top:
				want = reordered
			}
			had[seq], top = true, max(top, int(seq))
			if got, _ := tr.got(seq); got != want {
				t.Fatalf("track: %d: got %d, want %d", seq, got, want)
			}
			if got := sp.got(2*seq, func(uint64) { gone++ }); got != want {
				t.Fatalf("sparse: %d: got %d, want %d", seq, got, want)
			}
		}
		if want := uint64(n - len(had)); tr.lost(n) != want || sp.lost() != want {
			t.Fatalf("got %d and %d lost, want %d", tr.lost(n), sp.lost(), want)
		}
	}
}

func TestSparseForgetsWhatIsDone(t *testing.T) {
	var s sparse
	for seq := range uint64(100_000) {
		s.expect(seq)
		if a := s.got(seq, nil); a != inOrder {
			t.Fatalf("%d: got %d, want in order", seq, a)
		}
	}
	if len(s.queue) > 4096 || s.lost() != 0 {
		t.Errorf("got a queue of %d and %d lost, want a short one and 0", len(s.queue), s.lost())
	}
}
