package conformance

import (
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed statements.txt
var statementsText string

//go:embed reasons.txt
var reasonsText string

// idPattern finds citations. 3.1.1 spells one of its ids 3-8.3-4.
var idPattern = regexp.MustCompile(`\bMQTT(?:311)?-[0-9]+[.-][0-9]+\.[0-9]+-[0-9]+\b`)

// Statement is one normative statement of a standard.
type Statement struct {
	ID   string // MQTT-3.3.1-2, or MQTT311-3.3.1-2
	Side string // whom it binds: server, client, both
	Says string // what it asks, in our words
}

// Reason excuses what a statement lacks.
type Reason struct {
	Lacks string // code, test, both
	Why   string
}

// Statements returns the list, in its order.
func Statements() ([]Statement, error) {
	var all []Statement
	known := map[string]bool{}
	err := lines(statementsText, func(id, side, says string) error {
		switch {
		case idPattern.FindString(id) != id:
			return fmt.Errorf("%q is no id", id)
		case side != "server" && side != "client" && side != "both":
			return fmt.Errorf("side of %s is %q, allowed are server, client, both", id, side)
		case known[id]:
			return fmt.Errorf("%s stands twice", id)
		}
		known[id] = true
		all = append(all, Statement{id, side, says})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("statements.txt: %w", err)
	}
	return all, nil
}

// Reasons returns the excuses by id.
func Reasons() (map[string]Reason, error) {
	all := map[string]Reason{}
	err := lines(reasonsText, func(id, lacks, why string) error {
		if lacks != "code" && lacks != "test" && lacks != "both" {
			return fmt.Errorf("what %s lacks is %q, allowed are code, test, both", id, lacks)
		}
		all[id] = Reason{lacks, why}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reasons.txt: %w", err)
	}
	return all, nil
}

// lines calls fn for each line that is neither empty nor a comment: two words and the rest.
func lines(text string, fn func(first, second, rest string) error) error {
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		first, rest, _ := strings.Cut(line, " ")
		second, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if rest = strings.TrimSpace(rest); rest == "" {
			return fmt.Errorf("line %d: want three columns", i+1)
		}
		if err := fn(first, second, rest); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}
