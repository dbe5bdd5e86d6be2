package conformance

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Row is a statement with what is known about it.
type Row struct {
	Statement
	Code, Tests []Citation
	Reason      Reason // zero = none given
}

// Table is what docs/conformance.md shows.
type Table struct {
	Rows     []Row
	Problems []string // what the test complains about
}

// Read builds the table of the repository at root.
func Read(root string) (*Table, error) {
	statements, err := Statements()
	if err != nil {
		return nil, err
	}
	reasons, err := Reasons()
	if err != nil {
		return nil, err
	}
	citations, err := Citations(root)
	if err != nil {
		return nil, err
	}
	t := &Table{}
	for _, s := range statements {
		t.Rows = append(t.Rows, Row{Statement: s, Reason: reasons[s.ID]})
		delete(reasons, s.ID)
	}
	for id := range reasons {
		t.problem("reasons.txt: %s is no statement", id)
	}
	t.place(citations)
	t.check()
	slices.Sort(t.Problems)
	return t, nil
}

func (t *Table) problem(format string, args ...any) {
	t.Problems = append(t.Problems, fmt.Sprintf(format, args...))
}

// place gives each citation to its row.
func (t *Table) place(citations []Citation) {
	rows := map[string]*Row{}
	for i := range t.Rows {
		rows[t.Rows[i].ID] = &t.Rows[i]
	}
	for _, c := range citations {
		row := rows[c.ID]
		switch {
		case row == nil:
			t.problem("%s:%d: %s is no statement", c.File, c.Line, c.ID)
		case c.Test:
			row.Tests = append(row.Tests, c)
		default:
			row.Code = append(row.Code, c)
		}
	}
}

// check looks for server statements that lack something, and for reasons that are none any more.
func (t *Table) check() {
	for _, r := range t.Rows {
		lacks := r.lacks()
		switch {
		case r.Side == "client" && r.Reason.Lacks != "":
			t.problem("reasons.txt: %s binds clients and needs no reason", r.ID)
		case r.Side != "client" && lacks != r.Reason.Lacks:
			t.problem("%s lacks %s, and reasons.txt excuses %s: %s", r.ID, orNothing(lacks), orNothing(r.Reason.Lacks), r.Says)
		}
	}
}

// lacks tells what a server would need: code and tests of our clients do not count.
func (r Row) lacks() string {
	code, test := slices.ContainsFunc(r.Code, ofServer), slices.ContainsFunc(r.Tests, ofServer)
	switch {
	case !code && !test:
		return "both"
	case !code:
		return "code"
	case !test:
		return "test"
	}
	return ""
}

// clients are the parts that speak to a server; what they cite shows nothing of ours.
var clients = []string{"mqtt/client/", "bridge/", "firmware-sim/", "internal/bench/", "cmd/"}

func ofServer(c Citation) bool {
	return !slices.ContainsFunc(clients, func(part string) bool { return strings.HasPrefix(c.File, part) })
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}

// Markdown renders the table. lines tells whether lines of code are named.
func (t *Table) Markdown(lines bool) string {
	var b strings.Builder
	b.WriteString(head)
	t.summary(&b)
	section := ""
	for _, r := range t.Rows {
		if s := sectionOf(r.ID); s != section {
			section = s
			fmt.Fprintf(&b, "\n## %s\n\n| statement | binds | what it asks | code | tests |\n|---|---|---|---|---|\n", title(s))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.ID, r.Side, escape(r.Says), r.code(lines), r.tests())
	}
	return b.String()
}

const head = `# Conformance

Every normative statement of MQTT 5.0 (ids MQTT-…) and MQTT 3.1.1 (ids MQTT311-…, which the standard writes without 311), with
the code that cites it and the tests that show it. The standards' words are not repeated: read them beside it. MQTT 3.1 has no
numbered statements; where it differs from 3.1.1 the code says so.

` + "`make conformance`" + ` writes this page from the citations in code and tests; internal/conformance fails when it is not what that
would write, when a citation names no statement, and when a statement that binds a server lacks code or test without a reason.

`

// summary counts, for each standard.
func (t *Table) summary(b *strings.Builder) {
	b.WriteString("| | statements | bind a server | with code and test | with a reason | not yet |\n|---|---|---|---|---|---|\n")
	for _, standard := range []struct{ name, prefix string }{{"MQTT 5.0", "MQTT-"}, {"MQTT 3.1.1", "MQTT311-"}} {
		var all, server, shown, excused, open int
		for _, r := range t.Rows {
			if !strings.HasPrefix(r.ID, standard.prefix) {
				continue
			}
			all++
			switch {
			case r.Side == "client":
				continue
			case strings.HasPrefix(r.Reason.Why, "not yet"):
				open++
			case r.Reason.Lacks != "":
				excused++
			default:
				shown++
			}
			server++
		}
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d |\n", standard.name, all, server, shown, excused, open)
	}
}

// code lists the places, one for each function, with the first line that cites.
func (r Row) code(lines bool) string {
	var all []string
	seen := map[string]bool{}
	for _, c := range r.Code {
		if seen[c.File+" "+c.In] {
			continue
		}
		seen[c.File+" "+c.In] = true
		where := c.File
		if lines {
			where = fmt.Sprintf("%s:%d", c.File, c.Line)
		}
		if c.In != "" {
			where += " " + c.In
		}
		all = append(all, where)
	}
	if r.Reason.Lacks == "code" || r.Reason.Lacks == "both" {
		all = append(all, "*"+escape(r.Reason.Why)+"*")
	}
	return strings.Join(all, "<br>")
}

func (r Row) tests() string {
	var all []string
	for _, c := range r.Tests {
		where := c.File
		if strings.HasSuffix(c.File, "_test.go") && c.In != "" {
			where = path.Dir(c.File) + " " + c.In
		}
		all = append(all, where)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if r.Reason.Lacks == "test" {
		all = append(all, "*"+escape(r.Reason.Why)+"*")
	}
	return strings.Join(all, "<br>")
}

func escape(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(s)
}

// sectionOf is the id without the last two numbers: MQTT-3.1, MQTT311-4.
func sectionOf(id string) string {
	standard, numbers, _ := strings.Cut(id, "-")
	parts := strings.FieldsFunc(numbers, func(r rune) bool { return r == '.' || r == '-' })
	if parts[0] == "3" {
		return standard + "-3." + parts[1]
	}
	return standard + "-" + parts[0]
}

func title(section string) string {
	standard, number, _ := strings.Cut(section, "-")
	version := map[string]string{"MQTT": "MQTT 5.0", "MQTT311": "MQTT 3.1.1"}[standard]
	return strings.TrimSpace(version + ", " + number + " " + titles[number])
}

var titles = map[string]string{
	"1": "data", "2": "packet format", "4": "behaviour", "6": "WebSocket", "7": "conformance",
	"3.1": "CONNECT", "3.2": "CONNACK", "3.3": "PUBLISH", "3.4": "PUBACK", "3.5": "PUBREC", "3.6": "PUBREL", "3.7": "PUBCOMP",
	"3.8": "SUBSCRIBE", "3.9": "SUBACK", "3.10": "UNSUBSCRIBE", "3.11": "UNSUBACK", "3.12": "PINGREQ", "3.14": "DISCONNECT",
	"3.15": "AUTH",
}
