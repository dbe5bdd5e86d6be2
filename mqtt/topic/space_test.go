package topic

import (
	"slices"
	"strings"
	"testing"
)

func TestSpaces(t *testing.T) {
	for _, c := range []struct {
		name                                  string
		publish, subscribe, crosses, retained bool // of a client
		filter                                string
	}{
		{"a", true, true, true, true, "a"},
		{"a/$SYS/x", true, true, true, true, "a/$SYS/x"},
		{"/$link/x", true, true, true, true, "/$link/x"},
		{"$", true, true, false, true, "$"},
		{"$queue/x", true, true, false, true, "$queue/x"}, // nothing special yet
		{"$SYS", false, true, false, true, "$SYS"},
		{"$SYS/x", false, true, false, true, "$SYS/x"},
		{"$SYS/broker/connection", false, true, false, true, "$SYS/broker/connection"},
		{"$SYS/broker/connection/", false, true, false, true, "$SYS/broker/connection/"},
		{"$SYS/broker/connection/state", false, true, false, true, "$SYS/broker/connection/state"},
		{"$SYS/broker/connection//state", false, true, false, true, "$SYS/broker/connection//state"},
		{"$SYS/broker/connection/gw/state", true, true, false, true, "$SYS/broker/connection/gw/state"},
		{"$SYS/broker/connection/gw/other", false, true, false, true, "$SYS/broker/connection/gw/other"},
		{"$SYSTEM/x", true, true, false, true, "$SYSTEM/x"},
		{"$link", false, false, false, false, "$link"},
		{"$link/data", false, false, false, false, "$link/data"},
		{"$links/data", true, true, false, true, "$links/data"},
		{"$share", true, true, false, true, "$share"},
		{"$share/g", true, true, false, true, "$share/g"},
		{"$share//x", true, true, false, true, "$share//x"},
		{"$share/g/x", true, true, false, true, "x"},
		{"$share/g/$SYS/x", true, true, false, true, "$SYS/x"},
		{"$share/g/$link/x", true, false, false, true, "$link/x"},
		{"$share/g/$share/h/$link/x", true, true, false, true, "$share/h/$link/x"},
	} {
		if got := MayPublish(c.name, Client); got != c.publish {
			t.Errorf("client publishes to %s: got %v, want %v", c.name, got, c.publish)
		}
		if got := MaySubscribe(c.name, Client); got != c.subscribe {
			t.Errorf("client subscribes to %s: got %v, want %v", c.name, got, c.subscribe)
		}
		for what, got := range map[string]bool{
			"leaves": Crosses(c.name), "comes": MayPublish(c.name, Link), "is asked for": MaySubscribe(c.name, Link),
		} {
			if got != c.crosses {
				t.Errorf("%s %s over a link: got %v, want %v", c.name, what, got, c.crosses)
			}
		}
		if got := Retained(c.name); got != c.retained {
			t.Errorf("%s: got retained %v, want %v", c.name, got, c.retained)
		}
		if got := Counted(c.name); got != c.name {
			t.Errorf("%s: got %s counted, want the name itself", c.name, got)
		}
		if got := CountedFilter(c.name); got != c.filter {
			t.Errorf("%s: got %s counted as a filter, want %s", c.name, got, c.filter)
		}
	}
	if Crosses("") || Counted("") != "" || CountedFilter("") != "" {
		t.Error("got something for the empty name")
	}
	if !MayPublish("$SYS/x", Node) {
		t.Error("the node may not tell its own figures")
	}
}

// A client tells its own state and nobody else's.
func TestStateIsItsOwners(t *testing.T) {
	for _, c := range []struct {
		name, id string
		want     bool
	}{
		{"a/b", "gw", true}, {StateOf("gw"), "gw", true}, {StateOf("gw"), "other", false}, {StateOf("gw"), "g", false},
		{StateOf("a/b"), "a/b", true}, {StateOf("a/b"), "a", false}, {StateOf("gw") + "/state", "gw", false},
		{"$SYS/broker/version", "gw", false}, {"$other/x", "gw", true},
	} {
		if got := MayPublishAs(c.name, c.id); got != c.want {
			t.Errorf("%s publishes to %s: got %v, want %v", c.id, c.name, got, c.want)
		}
	}
	if got := StateOf("gw"); got != "$SYS/broker/connection/gw/state" || !MayPublish(got, Node) {
		t.Errorf("got %s, want Mosquitto's name, which the node may tell", got)
	}
}

// example is the table as it may become: features that take messages under a prefix of their own are rows, and nothing
// else here changes for them.
func example() table {
	rows := slices.Clone(spaces)
	return slices.Insert(rows, len(rows)-1,
		Space{Prefix: "$delayed/", Publish: Client | Node, NameCounts: AfterLevel},
		Space{Prefix: "$queue/", Publish: Client | Link | Node, Subscribe: Client | Link | Node, Crosses: true,
			NameCounts: AfterPrefix, FilterCounts: AfterPrefix},
		Space{Prefix: "$history/", Subscribe: Client, FilterCounts: AfterLevel},
	)
}

func TestARowIsAllThatAFeatureNeeds(t *testing.T) {
	rows := example()
	checkTable(t, rows)
	for _, c := range []struct {
		name                        string
		publish, subscribe, crosses bool
		counted, filter             string
	}{
		{"$delayed/5/a/b", true, false, false, "a/b", "$delayed/5/a/b"},
		{"$delayed/5/$SYS/x", false, false, false, "$SYS/x", "$delayed/5/$SYS/x"},
		{"$delayed/5/$delayed/7/$link/x", false, false, false, "$link/x", "$delayed/5/$delayed/7/$link/x"},
		{"$delayed/5/$delayed/7/x", true, false, false, "x", "$delayed/5/$delayed/7/x"},
		{"$delayed/5/$queue/x", true, false, false, "x", "$delayed/5/$queue/x"},
		{"$delayed/5/$other/x", true, false, false, "$other/x", "$delayed/5/$other/x"},
		{"$delayed/5/", true, false, false, "$delayed/5/", "$delayed/5/"}, // too short: for the feature to refuse
		{"$delayed/5", true, false, false, "$delayed/5", "$delayed/5"},
		{"$delayed", true, false, false, "$delayed", "$delayed"},
		{"$delayedly/5/x", true, true, false, "$delayedly/5/x", "$delayedly/5/x"},
		{"$queue/x", true, true, true, "x", "x"},
		{"$queue/#", true, true, true, "#", "#"},
		{"$queue/$link/x", false, false, true, "$link/x", "$link/x"},
		{"$queue/$queue/x", true, true, true, "x", "$queue/x"},
		{"$share/g/$queue/x", true, true, false, "$share/g/$queue/x", "x"},
		{"$share/g/$delayed/5/x", true, false, false, "$share/g/$delayed/5/x", "$delayed/5/x"},
		{"$history/1h/a/#", false, true, false, "$history/1h/a/#", "a/#"},
		{"$history/1h/$link/#", false, false, false, "$history/1h/$link/#", "$link/#"},
		{"$SYS/x", false, true, false, "$SYS/x", "$SYS/x"},
	} {
		if got := rows.mayPublish(c.name, Client, ""); got != c.publish {
			t.Errorf("client publishes to %s: got %v, want %v", c.name, got, c.publish)
		}
		if got := rows.maySubscribe(c.name, Client); got != c.subscribe {
			t.Errorf("client subscribes to %s: got %v, want %v", c.name, got, c.subscribe)
		}
		if got := rows.of(c.name).Crosses; got != c.crosses {
			t.Errorf("%s: got crosses %v, want %v", c.name, got, c.crosses)
		}
		if got := rows.counted(c.name); got != c.counted {
			t.Errorf("%s: got %s counted, want %s", c.name, got, c.counted)
		}
		if got := rows.countedFilter(c.name); got != c.filter {
			t.Errorf("%s: got %s counted as a filter, want %s", c.name, got, c.filter)
		}
	}
	if !rows.mayPublish("$queue/x", Link, "") || rows.mayPublish("$delayed/5/x", Link, "") {
		t.Error("a link may bring what its row says, got something else")
	}
}

func TestTableIsWellFormed(t *testing.T) { checkTable(t, spaces) }

// checkTable checks that each topic is in one row, whatever the order of those before the last.
func checkTable(t *testing.T, rows table) {
	t.Helper()
	last := len(rows) - 1
	if rows[last].Prefix != "$" {
		t.Errorf("got %q last, want $", rows[last].Prefix)
	}
	for i, row := range rows[:last] {
		word, ok := strings.CutSuffix(row.Prefix, "/")
		if !ok || len(word) < 2 || !Special(word) || CheckName(word, MaxLevels) != nil {
			t.Errorf("got prefix %q, want $word/", row.Prefix)
		}
		for _, other := range rows[i+1 : last] {
			if strings.HasPrefix(other.Prefix, row.Prefix) {
				t.Errorf("the row of %s is behind that of %s, which has all of it", other.Prefix, row.Prefix)
			}
		}
	}
}

func TestLookUpsDoNotAllocate(t *testing.T) {
	for _, name := range []string{"site/4711/temperature", "$SYS/broker/uptime", "$share/g/site/+", "$other/x"} {
		if got := testing.AllocsPerRun(100, func() {
			_, _ = MayPublish(name, Client), MaySubscribe(name, Client)
			_, _, _, _ = Counted(name), CountedFilter(name), Crosses(name), Retained(name)
		}); got != 0 {
			t.Errorf("%s: got %v allocations, want none", name, got)
		}
	}
}

// BenchmarkMayPublish is what each PUBLISH pays: for an ordinary topic, the test of one byte.
func BenchmarkMayPublish(b *testing.B) {
	for _, name := range []string{"site/4711/temperature", "$SYS/broker/uptime", "$other/x"} {
		b.Run(name[:1]+strings.ReplaceAll(name[1:], "/", "-"), func(b *testing.B) {
			may := 0
			for b.Loop() {
				if MayPublish(name, Client) && Counted(name) != "" {
					may++
				}
			}
			if (may > 0) != MayPublish(name, Client) {
				b.Error("got another answer")
			}
		})
	}
}

// FuzzSpaces holds that every valid name and filter has its row, and that what counts is the end of it.
func FuzzSpaces(f *testing.F) {
	for _, s := range []string{
		"a", "$", "$SYS/x", "$share/g/$link/x", "$delayed/5/$queue/x", "$queue/$queue/", "$history//a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, rows := range []table{spaces, example()} {
			for _, part := range []string{rows.counted(s), rows.countedFilter(s)} {
				if !strings.HasSuffix(s, part) || (part == "") != (s == "") {
					t.Fatalf("%q: got %q counted, want an end of it", s, part)
				}
			}
			if rows.mayPublish(s, Client, "") && !rows.mayPublish(rows.counted(s), Client, "") {
				t.Fatalf("%q may be published to, but %q not", s, rows.counted(s))
			}
			if rows.maySubscribe(s, Client) && !rows.maySubscribe(rows.countedFilter(s), Client) {
				// Behind itself a prefix is no syntax; standing first, it is.
				if first := rows.of(s); first != rows.of(rows.countedFilter(s)) {
					t.Fatalf("%q may be subscribed to, but %q not", s, rows.countedFilter(s))
				}
			}
		}
	})
}
