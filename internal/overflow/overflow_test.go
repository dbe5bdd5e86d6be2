package overflow

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRulesByTopic(t *testing.T) {
	r := Rules{Rules: []Rule{{"alarm/#", Refuse}, {"alarm/test", DropNew}, {"debug/+", DropNew}}}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	for topic, want := range map[string]Policy{
		"alarm": Refuse, "alarm/test": Refuse, "debug/a": DropNew, "debug/a/b": DropOldest, "other": DropOldest,
	} {
		if got := r.Of(topic); got != want {
			t.Errorf("%s: got %s, want %s", topic, got, want)
		}
		if got := r.Keeps(topic); got != (want == Refuse) {
			t.Errorf("%s: got keeps = %v", topic, got)
		}
	}
	all := Rules{Default: Refuse}
	if all.Keeps("alarm") {
		t.Error("where all topics are refused nothing gives way anyway, and nothing is to be noted")
	}
}

func TestParseRule(t *testing.T) {
	if got, err := ParseRule(" a/+/= #x/#  = refuse "); err == nil {
		t.Errorf("got %+v of a filter that is none", got)
	}
	for text, want := range map[string]Rule{"a = refuse": {"a", Refuse}, "a=b/# = drop-new": {"a=b/#", DropNew}} {
		if got, err := ParseRule(text); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{"a": `want "FILTER = POLICY"`, "a = panic": "want drop-oldest, refuse or drop-new", "$share/g/a = refuse": "without $share/g/"} {
		if _, err := ParseRule(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", text, err, want)
		}
	}
	if err := (&Rules{Rules: []Rule{{"a", ""}}}).Check(); err == nil {
		t.Error("a rule without a policy: got no error")
	}
}

// The operator is told at once, then after 1, 2, 4 … minutes in which the bound costs something, and at the end.
func TestSpell(t *testing.T) {
	var s Spell
	start := time.Unix(1_000_000, 0)
	var told []int
	for minute := range 40 {
		if s.Note(start.Add(time.Duration(minute)*time.Minute), 10, 1, 0) {
			told = append(told, minute)
		}
	}
	if want := []int{0, 1, 3, 7, 15, 31}; !slices.Equal(told, want) {
		t.Errorf("got told at minutes %v, want %v", told, want)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	s.Warn(log, Queue{Kind: "client", Name: "away", Messages: 7, Bytes: 70, Oldest: time.Hour, Policy: DropOldest})
	was := s.End()
	was.Report(log, Queue{Kind: "client", Name: "away"}, start.Add(time.Hour))
	for _, want := range []string{"level=WARN", "client=away", "messages=7", "oldest=1h0m0s", "when_full=drop-oldest", "dropped=400", "refused=40", "level=INFO", "after=1h0m0s"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("got %s, want %s in it", out.String(), want)
		}
	}
	if !was.Full() || s.Full() {
		t.Error("a spell that has ended is still there")
	}
}

// The age is never less than it is, and not much more.
func TestAges(t *testing.T) {
	var a Ages
	start := time.Unix(1_000_000, 0)
	if _, ok := a.Of(5, start); ok {
		t.Error("got an age of a queue of which nothing is known")
	}
	at := func(pos uint64) time.Time { return start.Add(time.Duration(pos) * time.Second) } // one a second
	const last = 100_000
	for pos := uint64(1); pos <= last; pos++ {
		if a.Due(pos) {
			a.Note(pos, 1, at(pos))
		}
	}
	if len(a.marks) > agesMost {
		t.Errorf("got %d marks, want at most %d", len(a.marks), agesMost)
	}
	for _, first := range []uint64{1000, 50_000, last} {
		got, ok := a.Of(first, at(last))
		if real := at(last).Sub(at(first)); !ok || got < real || got > real+last/agesMost*4*time.Second {
			t.Errorf("message %d: got %v, want %v", first, got, real)
		}
	}
	a.Note(last+1, last, at(last+1))
	if len(a.marks) > 3 {
		t.Errorf("got %d marks of a queue of one message", len(a.marks))
	}
}
