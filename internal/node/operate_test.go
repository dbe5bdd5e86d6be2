package node

import "testing"

func TestAlike(t *testing.T) {
	for _, c := range []struct {
		name, other string
		want        bool
	}{
		{"edge-1", "Edge-1", true}, {"edge", "edge-17", true}, {"egde-1", "edge-1", true}, {"edge-1", "core-1", false},
		{"a", "b", false}, {"", "edge", false}, {"ab", "abc", false}, {"pump-3", "pump-4", true},
	} {
		if got := alike(c.name, c.other); got != c.want {
			t.Errorf("%q for %q: got %v, want %v", c.name, c.other, got, c.want)
		}
	}
	if got := missing("link", "x", []string{"y", "z"}).Error(); got != `no link "x": did you mean "y" or "z"?` {
		t.Errorf("got %s", got)
	}
}
