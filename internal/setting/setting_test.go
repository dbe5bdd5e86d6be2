package setting

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestDefault(t *testing.T) {
	zero, some, less := 0, 7, -7
	if err := Default("Size", &zero, 5); err != nil || zero != 5 {
		t.Errorf("zero: got %d and %v, want 5", zero, err)
	}
	if err := Default("Size", &some, 5); err != nil || some != 7 {
		t.Errorf("positive: got %d and %v, want 7", some, err)
	}
	if err := Default("Size", &less, 5); err == nil || !strings.Contains(err.Error(), "Size is -7") {
		t.Errorf("negative: got %v, want an error that names the field and the value", err)
	}
}

func TestBound(t *testing.T) {
	zero, some, none := 0, 7, -7
	Bound(&zero, 5)
	Bound(&some, 5)
	Bound(&none, 5)
	if zero != 5 || some != 7 || none != Unbounded[int]() {
		t.Errorf("got %d, %d and %d, want 5, 7 and no bound", zero, some, none)
	}
}

func TestUnbounded(t *testing.T) {
	if got := Unbounded[int](); got <= math.MaxInt/4 || got+(got-1) < got {
		t.Errorf("got %d, want a value that can be added to", got)
	}
	if got := Unbounded[time.Duration](); got < 100*365*24*time.Hour {
		t.Errorf("got %v, want more than a life", got)
	}
}
