package gossip

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A script of what memberlist says and what the caller sees, one step a line:
//
//	seen KEY NAME STARTED [leaving]    gone KEY    wait DURATION    want MEMBER…    lost ADDRESS…
//
// where KEY is also the address.
func runRoster(t *testing.T, script string) {
	t.Helper()
	r := newRoster("self", 10*time.Second)
	now := time.Unix(1000, 0)
	for i, line := range strings.Split(strings.TrimSpace(script), "\n") {
		f := strings.Fields(line)
		switch f[0] {
		case "seen":
			a := announcement{name: f[2], leaving: len(f) > 4}
			fmt.Sscan(f[3], &a.started)
			r.seen(f[1], f[1], a)
		case "gone":
			r.gone(f[1], now)
		case "wait":
			d, err := time.ParseDuration(f[1])
			if err != nil {
				t.Fatal(err)
			}
			now = now.Add(d)
			r.sweep(now)
		case "want":
			var got []string
			for _, m := range r.members() {
				got = append(got, m.Name+"@"+m.Addr+map[State]string{Suspect: "?"}[m.State])
			}
			if !slices.Equal(got, f[1:]) {
				t.Errorf("line %d: got %q, want %q", i+1, got, f[1:])
			}
		case "lost":
			if got := r.lostAddrs(); !slices.Equal(got, f[1:]) {
				t.Errorf("line %d: got lost %q, want %q", i+1, got, f[1:])
			}
		}
	}
}

func TestRoster(t *testing.T) {
	for name, script := range map[string]string{
		"goodbye": `
			seen k1 b 1
			want b@k1
			seen k1 b 1 leaving
			want
			gone k1
			want
			lost`,
		"death": `
			seen k1 b 1
			gone k1
			want b@k1?
			lost k1
			wait 9s
			want b@k1?
			wait 1s
			want
			lost k1
			wait 1h
			lost`,
		"not dead after all": `
			seen k1 b 1
			gone k1
			wait 5s
			seen k1 b 1
			wait 20s
			want b@k1
			lost`,
		"restarted elsewhere before its death was noticed": `
			seen k1 b 1
			seen k2 b 2
			want b@k2
			gone k1
			want b@k2
			lost
			wait 20s
			want b@k2`,
		"restarted with a clock that went back": `
			seen k1 b 9
			seen k2 b 3
			want b@k1
			gone k1
			want b@k2`,
		"its newer start dies while the older one lives": `
			seen k1 b 1
			seen k2 b 2
			gone k2
			want b@k1`,
		"own name": `
			seen k1 self 1
			seen k2 c 1
			want c@k2`,
		"sorted": `
			seen k3 c 1
			seen k1 d 1
			seen k2 b 1
			want b@k2 c@k3 d@k1`,
		"gone twice, or never seen": `
			seen k1 b 1
			gone k1
			wait 9s
			gone k1
			gone k9
			wait 1s
			want`,
	} {
		t.Run(name, func(t *testing.T) { runRoster(t, script) })
	}
}

func TestRosterTellsWhenToSweep(t *testing.T) {
	r := newRoster("self", 10*time.Second)
	now := time.Unix(1000, 0)
	if got := r.sweep(now); !got.IsZero() {
		t.Errorf("got %v, want never", got)
	}
	r.seen("k1", "k1", announcement{name: "a"})
	r.seen("k2", "k2", announcement{name: "b"})
	r.gone("k2", now.Add(time.Second))
	r.gone("k1", now)
	if got, want := r.sweep(now), now.Add(10*time.Second); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLostAddressesAreBounded(t *testing.T) {
	r := newRoster("self", time.Second)
	now := time.Unix(1000, 0)
	for i := range maxLost + 3 {
		key := fmt.Sprintf("k%03d", i)
		r.seen(key, key, announcement{name: key})
		r.gone(key, now.Add(time.Duration(i)*time.Second))
	}
	got := r.lostAddrs()
	if len(got) != maxLost || got[0] != "k003" {
		t.Errorf("got %d lost addresses from %s, want %d from k003", len(got), got[0], maxLost)
	}
}

func TestImpostor(t *testing.T) {
	r := newRoster("self", time.Second)
	r.seen("k1", "addr1", announcement{name: "other"})
	if addr, found := r.impostor("own"); found {
		t.Errorf("got impostor %s, want none", addr)
	}
	r.seen("k2", "addr2", announcement{name: "self"})
	if addr, found := r.impostor("own"); !found || addr != "addr2" {
		t.Errorf("got %q %v, want addr2", addr, found)
	}
}
