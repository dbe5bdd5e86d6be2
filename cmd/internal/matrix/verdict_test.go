package matrix

import (
	"strings"
	"testing"
	"time"
)

// soaked is samples of an edge whose RSS, or open files, are what f says over time.
func soaked(rss, files func(i int) float64) *Verdict {
	samples := make([]Sample, 40)
	for i := range samples {
		samples[i] = Sample{RSS: rss(i), Heap: 10, Goroutines: 50, Files: files(i), Disk: 30}
	}
	return judge(samples, 5*time.Second)
}

func TestSoakSeesWhatGrows(t *testing.T) {
	steady := func(int) float64 { return 60 }
	spiky := func(i int) float64 { return 60 + 80*float64(i%10/9) } // one sample of ten
	filling := func(i int) float64 { return min(60, 20+5*float64(i)) }
	leaking := func(i int) float64 { return 60 + float64(i) }
	for _, c := range []struct {
		name       string
		rss, files func(int) float64
		want       string
	}{
		{"steady", steady, steady, ""},
		{"spikes", spiky, spiky, ""},
		{"fills its caches", filling, filling, ""},
		{"leaks memory", leaking, steady, "RSS MiB"},
		{"leaks both", leaking, leaking, "RSS MiB, open files"},
	} {
		v := soaked(c.rss, c.files)
		if got := v.Grew(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		var b strings.Builder
		if err := v.Write(&b); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); strings.Contains(got, "GREW") != (c.want != "") || !strings.Contains(got, "over 3m20s") {
			t.Errorf("%s: got\n%s", c.name, got)
		}
	}
}

func TestSparkline(t *testing.T) {
	if got := sparkline([]float64{0, 1, 2, 3, 4, 5, 6, 7, 8, 8}, 5); got != "▂▄▆██" {
		t.Errorf("got %s, want rising bars", got)
	}
	if got := sparkline([]float64{0, 0}, 5); got != "▁▁" {
		t.Errorf("got %s, want the lowest bars", got)
	}
}
