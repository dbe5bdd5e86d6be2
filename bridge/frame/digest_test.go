package frame

import "testing"

// Nodes of different versions compare digests: how one is made must not change.
func TestDigestStaysAsItIs(t *testing.T) {
	var d, other Digest
	d.Add("a/#", 1)
	d.Add("b", 2)
	other.Add("b", 2)
	other.Add("c", 0)
	other.Add("a/#", 1)
	other.Remove("c", 0)
	if d != other {
		t.Errorf("got %v and %v, want the same whatever the order", d, other)
	}
	if want := (Digest{Count: 2, Sum: 0xa863e32262884ff8}); d != want {
		t.Errorf("got %#v, want %#v", d, want)
	}
}
