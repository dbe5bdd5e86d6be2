package config

import (
	"cmp"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// value is one key's place in a Config together with what may stand there.
type value interface {
	// fromTOML takes what a TOML file has: string, bool, int64, float64, []any, …
	fromTOML(v any) error
	// fromFlags takes the arguments of a flag, in order. Only lists look at more than the last.
	fromFlags(args []string) error
	// toml prints the value as a TOML file has it.
	toml() string
	// kind is the word that stands for the value in --help; "" for a switch.
	kind() string
}

// wrong says what was found and what is allowed.
func wrong(found any, allowed string) error {
	return fmt.Errorf("found %s, want %s", describe(found), allowed)
}

func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the text %q", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("%v", v)
}

// text is a string that check accepts; "" is accepted when empty is set.
type text struct {
	p       *string
	word    string // for --help
	allowed string
	empty   bool
	check   func(string) error // nil = anything
}

func (t text) set(s string) error {
	if s == "" && t.empty {
		*t.p = s
		return nil
	}
	if s == "" {
		return wrong(s, t.allowed)
	}
	if t.check != nil {
		if err := t.check(s); err != nil {
			return fmt.Errorf("found %q: %w", s, err)
		}
	}
	*t.p = s
	return nil
}

func (t text) fromTOML(v any) error {
	s, ok := v.(string)
	if !ok {
		return wrong(v, t.allowed+", in quotes")
	}
	return t.set(s)
}

func (t text) fromFlags(args []string) error { return t.set(args[len(args)-1]) }
func (t text) toml() string                  { return strconv.Quote(*t.p) }
func (t text) kind() string                  { return t.word }

// choice is one of a few words.
func choice(p *string, words ...string) value {
	allowed := "one of " + strings.Join(words, ", ")
	return text{p: p, word: strings.Join(words, "|"), allowed: allowed, check: func(s string) error {
		for _, w := range words {
			if s == w {
				return nil
			}
		}
		return fmt.Errorf("want %s", allowed)
	}}
}

// list is strings that check accepts.
type list struct {
	p       *[]string
	word    string
	allowed string
	comma   bool // a flag's argument may hold several, separated by commas
	check   func(string) error
}

// itemError is what is wrong with one element of a list.
type itemError struct {
	index int
	err   error
}

func (e *itemError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *itemError) Unwrap() error { return e.err }

func (l list) set(all []string) error {
	for i, s := range all {
		if err := l.check(s); err != nil {
			return &itemError{i, fmt.Errorf("found %q: %w", s, err)}
		}
	}
	*l.p = all
	return nil
}

func (l list) fromTOML(v any) error {
	items, ok := v.([]any)
	if !ok {
		return wrong(v, fmt.Sprintf("a list of %s, as [\"…\", \"…\"]", l.allowed))
	}
	all := make([]string, 0, len(items))
	for i, item := range items {
		s, ok := item.(string)
		if !ok {
			return &itemError{i, wrong(item, l.allowed+", in quotes")}
		}
		all = append(all, s)
	}
	return l.set(all)
}

func (l list) fromFlags(args []string) error {
	all := []string{}
	for _, a := range args {
		if a == "" {
			continue // the way to say "none"
		}
		if l.comma {
			all = append(all, strings.Split(a, ",")...)
		} else {
			all = append(all, a)
		}
	}
	return l.set(all)
}

func (l list) toml() string {
	quoted := make([]string, len(*l.p))
	for i, s := range *l.p {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

func (l list) kind() string { return l.word }

// flag is true or false.
type toggle struct{ p *bool }

func (t toggle) fromTOML(v any) error {
	b, ok := v.(bool)
	if !ok {
		return wrong(v, "true or false, without quotes")
	}
	*t.p = b
	return nil
}

func (t toggle) fromFlags(args []string) error {
	b, err := strconv.ParseBool(args[len(args)-1])
	if err != nil {
		return wrong(args[len(args)-1], "true or false")
	}
	*t.p = b
	return nil
}

func (t toggle) toml() string { return strconv.FormatBool(*t.p) }
func (t toggle) kind() string { return "" }

// number is a whole number within bounds.
type number struct {
	p        *int
	min, max int
}

func (n number) set(i int64) error {
	if i < int64(n.min) || i > int64(n.max) {
		return fmt.Errorf("found %d, want a whole number from %d to %d", i, n.min, n.max)
	}
	*n.p = int(i)
	return nil
}

func (n number) fromTOML(v any) error {
	i, ok := v.(int64)
	if !ok {
		return wrong(v, fmt.Sprintf("a whole number from %d to %d", n.min, n.max))
	}
	return n.set(i)
}

func (n number) fromFlags(args []string) error {
	i, err := strconv.ParseInt(args[len(args)-1], 10, 64)
	if err != nil {
		return wrong(args[len(args)-1], fmt.Sprintf("a whole number from %d to %d", n.min, n.max))
	}
	return n.set(i)
}

func (n number) toml() string { return strconv.Itoa(*n.p) }
func (n number) kind() string { return "N" }

// span is a time: none, or from least to most.
type span struct {
	p     *time.Duration
	most  time.Duration
	least time.Duration // 0 = a second
}

func (s span) from() time.Duration { return cmp.Or(s.least, time.Second) }

func (s span) allowed() string {
	return fmt.Sprintf("\"0s\", or a time from %q to %q", s.from(), s.most)
}

func (s span) set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d != 0 && d < s.from() || d > s.most {
		return wrong(text, s.allowed())
	}
	*s.p = d
	return nil
}

func (s span) fromTOML(v any) error {
	text, ok := v.(string)
	if !ok {
		return wrong(v, s.allowed()+", in quotes")
	}
	return s.set(text)
}

func (s span) fromFlags(args []string) error { return s.set(args[len(args)-1]) }
func (s span) toml() string                  { return strconv.Quote(s.p.String()) }
func (s span) kind() string                  { return "TIME" }

// hostPort accepts HOST:PORT.
func hostPort(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("want HOST:PORT")
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("want HOST:PORT with a port from 0 to 65535")
	}
	if strings.ContainsAny(host, " /@") {
		return fmt.Errorf("want HOST:PORT")
	}
	return nil
}

// remote accepts HOST:PORT of somebody else.
func remote(s string) error {
	if err := hostPort(s); err != nil {
		return err
	}
	if host, port, _ := net.SplitHostPort(s); host == "" || port == "0" {
		return fmt.Errorf("want HOST:PORT with a host and a port above 0")
	}
	return nil
}
