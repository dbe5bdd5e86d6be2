package topic

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckName(t *testing.T) {
	for _, c := range []struct{ name, rule string }{
		{"sport/tennis/player1", ""},
		{"/", ""},
		{"/finance", ""},
		{"a//b", ""},
		{"Accounts payable", ""},
		{"$SYS/broker/uptime", ""},
		{"\ufeffbom", ""}, // [MQTT-1.5.4-3] U+FEFF is an ordinary character
		{strings.Repeat("a", MaxLength), ""},
		{"", "MQTT-4.7.3-1"},
		{"a\x00b", "MQTT-4.7.3-2"},
		{strings.Repeat("a", MaxLength+1), "MQTT-4.7.3-3"},
		{"a/\xff", "MQTT-1.5.4-1"},
		{"a/\xed\xa0\x80", "MQTT-1.5.4-1"}, // U+D800
		{"a/\xc0\x80", "MQTT-1.5.4-1"},     // overlong U+0000
		{"sport/+", "MQTT-4.7.0-1"},
		{"sport/#", "MQTT-4.7.0-1"},
		{"a+b", "MQTT-4.7.0-1"},
	} {
		wantRule(t, c.name, CheckName(c.name, 0), c.rule)
	}
}

func TestCheckFilter(t *testing.T) {
	for _, c := range []struct{ filter, rule string }{
		{"sport/tennis/player1/#", ""},
		{"sport/#", ""},
		{"#", ""},
		{"+", ""},
		{"+/tennis/#", ""},
		{"sport/+/player1", ""},
		{"/+", ""},
		{"+/+", ""},
		{"/", ""},
		{"$SYS/#", ""},
		{"$share", ""}, // an ordinary filter: no slash after it
		{"$share/consumer/sport/tennis/+", ""},
		{"$share/g//", ""}, // the filter is "/"
		{"$share/g/#", ""},
		{"sport/tennis#", "MQTT-4.7.1-1"},
		{"sport/tennis/#/ranking", "MQTT-4.7.1-1"},
		{"#/", "MQTT-4.7.1-1"},
		{"##", "MQTT-4.7.1-1"},
		{"sport+", "MQTT-4.7.1-2"},
		{"+a/b", "MQTT-4.7.1-2"},
		{"a/+b", "MQTT-4.7.1-2"},
		{"++", "MQTT-4.7.1-2"},
		{"", "MQTT-4.7.3-1"},
		{"a\x00", "MQTT-4.7.3-2"},
		{strings.Repeat("a", MaxLength+1), "MQTT-4.7.3-3"},
		{"\x80", "MQTT-1.5.4-1"},
		{"$share/", "MQTT-4.8.2-1"},
		{"$share//a", "MQTT-4.8.2-1"},
		{"$share/g", "MQTT-4.8.2-2"},
		{"$share/g/", "MQTT-4.8.2-2"},
		{"$share/g+/a", "MQTT-4.8.2-2"},
		{"$share/#/a", "MQTT-4.8.2-2"},
		{"$share/g/a#", "MQTT-4.7.1-1"},
		{"$share/g/a+", "MQTT-4.7.1-2"},
	} {
		wantRule(t, c.filter, CheckFilter(c.filter, 0), c.rule)
	}
}

func wantRule(t *testing.T, s string, err error, rule string) {
	t.Helper()
	if len(s) > 60 {
		s = s[:60]
	}
	var e *Error
	switch {
	case rule == "" && err != nil:
		t.Errorf("%q: got %v, want valid", s, err)
	case rule != "" && (!errors.As(err, &e) || e.Rule != rule):
		t.Errorf("%q: got %v, want an error of rule %s", s, err, rule)
	}
}

func TestDepthIsBounded(t *testing.T) {
	levels := func(n int) string { return strings.Repeat("/", n-1) }
	for _, c := range []struct {
		levels, bound int
		ok            bool
	}{{MaxLevels, 0, true}, {MaxLevels + 1, 0, false}, {5, 5, true}, {6, 5, false}, {200, 200, true}} {
		if err := CheckName(levels(c.levels), c.bound); (err == nil) != c.ok {
			t.Errorf("name of %d levels, bound %d: got %v, want valid %v", c.levels, c.bound, err, c.ok)
		}
		if err := CheckFilter("$share/g/"+levels(c.levels), c.bound); (err == nil) != c.ok {
			t.Errorf("filter of %d levels, bound %d: got %v, want valid %v", c.levels, c.bound, err, c.ok)
		}
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct{ filter, group, rest string }{
		{"a/#", "", "a/#"},
		{"$share/g/a/#", "g", "a/#"},
		{"$share/g//a", "g", "/a"},
		{"$share", "", "$share"},
		{"$share/g", "", "$share/g"},
		{"$share//a", "", "$share//a"},
		{"$shared/g/a", "", "$shared/g/a"},
	} {
		if group, rest := Split(c.filter); group != c.group || rest != c.rest {
			t.Errorf("Split(%q): got %q, %q, want %q, %q", c.filter, group, rest, c.group, c.rest)
		}
	}
}

// Names and filters that pass are checked and taken apart without memory of their own.
func TestChecksDoNotAllocate(t *testing.T) {
	const name, filter, shared = "site/4711/temperature", "site/+/temperature/#", "$share/group/site/+/#"
	if got := testing.AllocsPerRun(100, func() {
		if CheckName(name, 0) != nil || CheckFilter(filter, 0) != nil || CheckFilter(shared, 0) != nil {
			t.Fatal("got an error")
		}
		if group, rest := Split(shared); group != "group" || rest != "site/+/#" {
			t.Fatalf("got group %q, filter %q", group, rest)
		}
		if !Match(filter, "site/1/temperature/a/b") {
			t.Fatal("got no match")
		}
	}); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}

// Cut at any byte, a name is a name or an error with its rule.
func TestNameCutAtEveryByte(t *testing.T) {
	const name = "äö/€uro/x"
	for n := range len(name) + 1 {
		rule := ""
		switch {
		case n == 0:
			rule = "MQTT-4.7.3-1"
		case !utf8.ValidString(name[:n]):
			rule = "MQTT-1.5.4-1"
		}
		wantRule(t, name[:n], CheckName(name[:n], 0), rule)
	}
}

// Cut at any byte, a filter is a filter or an error with its rule, and Split takes from it what is there.
func TestFilterCutAtEveryByte(t *testing.T) {
	const filter = "$share/gü/ä/+/€/#"
	for n := range len(filter) + 1 {
		s, rule, group, rest := filter[:n], "", "", filter[:n]
		switch {
		case n == 0:
			rule = "MQTT-4.7.3-1"
		case !utf8.ValidString(s):
			rule = "MQTT-1.5.4-1"
		case n == len("$share/"):
			rule = "MQTT-4.8.2-1" // no ShareName
		case n > len("$share/") && n <= len("$share/gü/"):
			rule = "MQTT-4.8.2-2" // no filter
		}
		if n >= len("$share/gü/") {
			group, rest = "gü", s[len("$share/gü/"):]
		}
		wantRule(t, s, CheckFilter(s, 0), rule)
		if gotGroup, gotRest := Split(s); gotGroup != group || gotRest != rest {
			t.Errorf("Split(%q): got %q, %q, want %q, %q", s, gotGroup, gotRest, group, rest)
		}
	}
}

// FuzzCheck holds that what passes the checks has the form the standard gives, and that a name is a
// filter that matches itself and nothing is matched by what a filter does not allow.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"a/b", "#", "+/a/#", "$share/g/+/#", "$SYS/x", "/", "a\x00", "\xff", "$share//", "a//#"} {
		f.Add(s, "a/b")
		f.Add("a/#", s)
	}
	f.Fuzz(func(t *testing.T, filter, name string) {
		filterErr, nameErr := CheckFilter(filter, 0), CheckName(name, 0)
		if nameErr == nil {
			if strings.ContainsAny(name, "+#\x00") || !utf8.ValidString(name) || name == "" {
				t.Fatalf("name %q passed", name)
			}
			if group, _ := Split(name); group == "" && CheckFilter(name, 0) == nil && !Match(name, name) {
				t.Fatalf("name %q does not match itself", name)
			}
		}
		if filterErr != nil || nameErr != nil {
			return
		}
		_, rest := Split(filter)
		var tree Tree[int, int]
		tree.Set(rest, 1, 1)
		found := 0
		tree.Match(name, func(int, int) { found++ })
		if want := Match(rest, name); (found == 1) != want || found > 1 {
			t.Fatalf("filter %q, name %q: tree found %d, Match says %v", rest, name, found, want)
		}
		if _, existed := tree.Delete(rest, 1); !existed || !empty(&tree) {
			t.Fatalf("filter %q left something behind", rest)
		}
	})
}
