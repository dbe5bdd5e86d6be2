package topic

import "testing"

// matches is section 4.7 as a table.
var matches = []struct {
	filter, name string
	want         bool
}{
	// 4.7.1.2 multi-level wildcard
	{"sport/tennis/player1/#", "sport/tennis/player1", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
	{"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
	{"sport/tennis/player1/#", "sport/tennis/player12", false},
	{"sport/#", "sport", true},
	{"sport/#", "sport/", true},
	{"sport/#", "sports", false},
	{"sport/#", "", false},
	{"#", "sport", true},
	{"#", "/", true},
	{"/#", "/", true},
	{"/#", "a", false},
	{"+/#", "a", true},
	{"+/#", "/", true},
	// 4.7.1.3 single-level wildcard
	{"sport/tennis/+", "sport/tennis/player1", true},
	{"sport/tennis/+", "sport/tennis/player2", true},
	{"sport/tennis/+", "sport/tennis/player1/ranking", false},
	{"sport/tennis/+", "sport/tennis", false},
	{"sport/+", "sport", false},
	{"sport/+", "sport/", true},
	{"+", "sport", true},
	{"+/tennis/#", "sport/tennis/player1", true},
	{"+/tennis/#", "sport/tennis", true},
	{"sport/+/player1", "sport/tennis/player1", true},
	{"sport/+/player1", "sport//player1", true},
	{"+/+", "/finance", true},
	{"/+", "/finance", true},
	{"+", "/finance", false},
	// 4.7.2 topics that start with '$' [MQTT-4.7.2-1]
	{"#", "$SYS/broker", false},
	{"#", "$SYS", false},
	{"+", "$SYS", false},
	{"+/monitor/Clients", "$SYS/monitor/Clients", false},
	{"+/#", "$SYS/a", false},
	{"$SYS/#", "$SYS/a/b", true},
	{"$SYS/#", "$SYS", true},
	{"$SYS/monitor/+", "$SYS/monitor/Clients", true},
	{"#", "a/$SYS", true},
	{"a/+", "a/$SYS", true},
	{"/#", "/$SYS", true},
	// 4.7.3 semantics: case, leading and empty levels, no normalisation [MQTT-4.7.3-4]
	{"ACCOUNTS", "Accounts", false},
	{"Accounts payable", "Accounts payable", true},
	{"/finance", "finance", false},
	{"finance", "finance/", false},
	{"a//b", "a/b", false},
	{"a//b", "a//b", true},
	{"\u00e9", "e\u0301", false},
}

func TestMatch(t *testing.T) {
	for _, c := range matches {
		if got := Match(c.filter, c.name); got != c.want {
			t.Errorf("Match(%q, %q): got %v, want %v", c.filter, c.name, got, c.want)
		}
	}
}

func TestTreeMatchesAsTheStandardSays(t *testing.T) {
	for _, c := range matches {
		var tree Tree[string, int]
		tree.Set(c.filter, "key", 7)
		found := 0
		tree.Match(c.name, func(key string, v int) {
			if key != "key" || v != 7 {
				t.Errorf("%q: got %q %d, want \"key\" 7", c.filter, key, v)
			}
			found++
		})
		if got := found == 1; got != c.want || found > 1 {
			t.Errorf("filter %q, name %q: visited %d times, want match %v", c.filter, c.name, found, c.want)
		}
	}
}
