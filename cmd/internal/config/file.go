package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"mangrove/internal/spell"
)

// maxFile bounds a configuration file; a larger one is refused.
const maxFile = 1 << 20

// Load reads a file over c. Every fault of the file is in the error, one a line, each with file,
// line and column.
func (c *Config) Load(path string) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	f, err := parse(path, b)
	if err != nil {
		return err
	}
	return c.apply(f)
}

// RoleOf tells whose file it is: by its role key, else by a key that only one role has.
func RoleOf(path string) (Role, error) {
	b, err := readFile(path)
	if err != nil {
		return "", err
	}
	f, err := parse(path, b)
	if err != nil {
		return "", err
	}
	for _, e := range f.entries {
		if e.name == "role" {
			if e.value == string(Edge) || e.value == string(Core) {
				return Role(e.value.(string)), nil
			}
			return "", fmt.Errorf("%s: role: %w", e.place, wrong(e.value, "\"edge\" or \"core\""))
		}
	}
	for _, role := range []Role{Edge, Core} {
		for _, k := range New(role).keys() {
			if k.only == role && f.has(k.name) {
				return role, nil
			}
		}
	}
	return "", fmt.Errorf("%s: role is missing: write role = \"edge\" or role = \"core\" at the top", path)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, maxFile)
	}
	return b, nil
}

// file is a parsed file: its entries in the order they stand there.
type file struct {
	path    string
	entries []entry
}

type entry struct {
	name  string // with its table
	place place
	items []place // of a list's elements
	value any     // nil for a table header
}

// placeOf is where what err is about stands: a list's element, when it is on a line of its own.
func (e *entry) placeOf(err error) place {
	var item *itemError
	if errors.As(err, &item) && item.index < len(e.items) && e.items[item.index].line != e.place.line {
		return e.items[item.index]
	}
	return e.place
}

func (f *file) has(name string) bool {
	return slices.ContainsFunc(f.entries, func(e entry) bool { return e.name == name })
}

// parse reads the values with the ordinary decoder and the positions from the syntax tree.
func parse(path string, b []byte) (*file, error) {
	values := map[string]any{}
	if err := toml.Unmarshal(b, &values); err != nil {
		var d *toml.DecodeError
		if errors.As(err, &d) {
			row, col := d.Position()
			return nil, fmt.Errorf("%s:%d:%d: not TOML: %s", path, row, col, strings.TrimPrefix(d.Error(), "toml: "))
		}
		return nil, fmt.Errorf("%s: not TOML: %w", path, err)
	}
	f := &file{path: path}
	var p unstable.Parser
	p.Reset(b)
	var table []string
	for p.NextExpression() {
		switch e := p.Expression(); e.Kind {
		case unstable.Table, unstable.ArrayTable:
			var at unstable.Position
			table, at = f.keyOf(&p, e, b)
			f.add(table, at, nil)
		case unstable.KeyValue:
			f.walk(&p, e, b, table, values)
		}
	}
	if err := p.Error(); err != nil {
		return nil, fmt.Errorf("%s: not TOML: %w", path, err)
	}
	return f, nil
}

// walk adds one `key = value`, or what is inside when the value is an inline table.
func (f *file) walk(p *unstable.Parser, e *unstable.Node, b []byte, table []string, values map[string]any) {
	rel, at := f.keyOf(p, e, b)
	name := append(slices.Clone(table), rel...)
	if e.Value().Kind != unstable.InlineTable {
		f.add(name, at, lookup(values, name))
		if e.Value().Kind == unstable.Array {
			f.addItems(e.Value(), b)
		}
		return
	}
	f.add(name, at, nil)
	for it := e.Value().Children(); it.Next(); {
		f.walk(p, it.Node(), b, name, values)
	}
}

func (f *file) add(name []string, at unstable.Position, v any) {
	f.entries = append(f.entries, entry{name: strings.Join(name, "."), place: place{file: f.path, line: at.Line, col: at.Column}, value: v})
}

// addItems notes where the elements of the last entry, a list, stand.
func (f *file) addItems(list *unstable.Node, b []byte) {
	last := &f.entries[len(f.entries)-1]
	for it := list.Children(); it.Next(); {
		at := positionOf(it.Node(), b)
		last.items = append(last.items, place{file: f.path, line: at.Line, col: at.Column})
	}
}

func positionOf(n *unstable.Node, b []byte) unstable.Position {
	off := int(n.Raw.Offset)
	return unstable.Position{Line: 1 + bytes.Count(b[:off], []byte("\n")), Column: off - bytes.LastIndexByte(b[:off], '\n')}
}

// keyOf is a dotted key and where its last part stands.
func (f *file) keyOf(p *unstable.Parser, e *unstable.Node, b []byte) (parts []string, at unstable.Position) {
	for it := e.Key(); it.Next(); {
		parts = append(parts, string(it.Node().Data))
		at = positionOf(it.Node(), b)
	}
	return parts, at
}

// lookup follows a path through tables. An array of tables answers the array.
func lookup(values map[string]any, path []string) any {
	var v any = values
	for _, part := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return v
		}
		v = m[part]
	}
	return v
}

// apply sets every entry of f, and gathers what is wrong.
func (c *Config) apply(f *file) error {
	keys := c.keys()
	var faults []error
	for _, e := range f.entries {
		i := slices.IndexFunc(keys, func(k key) bool { return k.name == e.name })
		switch {
		case i >= 0 && e.value != nil:
			if err := keys[i].value.fromTOML(e.value); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", e.placeOf(err), e.name, err))
			}
			c.places[e.name] = e.place
		case i >= 0:
			faults = append(faults, fmt.Errorf("%s: %s: %w", e.place, e.name, wrong(map[string]any{}, "a value")))
		case e.value != nil && c.hasTable(e.name):
			faults = append(faults, fmt.Errorf("%s: %s is a table: write [%s] and its keys on lines of their own", e.place, e.name, e.name))
		case !c.hasTable(e.name):
			faults = append(faults, fmt.Errorf("%s: %w", e.place, c.unknown(e.name, e.value == nil)))
		}
	}
	return errors.Join(faults...)
}

func (c *Config) hasTable(name string) bool {
	return slices.ContainsFunc(c.keys(), func(k key) bool { return k.table() == name })
}

// unknown says what could have been meant by a key or table that does not exist.
func (c *Config) unknown(name string, table bool) error {
	what := "key"
	if table {
		what = "table"
	}
	for _, role := range []Role{Edge, Core} {
		other := New(role)
		if slices.ContainsFunc(other.keys(), func(k key) bool { return k.name == name }) {
			return fmt.Errorf("unknown key %s for role %q: it is for role %q", name, c.Role, role)
		}
	}
	if near := c.nearest(name, table); near != "" {
		return fmt.Errorf("unknown %s %s: did you mean %s?", what, name, near)
	}
	return fmt.Errorf("unknown %s %s: want %s", what, name, strings.Join(c.siblings(name, table), ", "))
}

// siblings lists what may stand where name stands.
func (c *Config) siblings(name string, table bool) []string {
	var all []string
	parent := key{name: name}.table()
	if parent != "" && !c.hasTable(parent) {
		parent = ""
	}
	for _, k := range c.keys() {
		switch {
		case !table && k.table() == parent:
			all = append(all, k.name)
		case table && k.table() != "" && !slices.Contains(all, k.table()):
			all = append(all, k.table())
		}
	}
	return all
}

// nearest is the known name within two edits of name, or with the same leaf in another table.
func (c *Config) nearest(name string, table bool) string {
	best, least := "", 3
	for _, k := range c.keys() {
		known := k.name
		if table {
			known = k.table()
		}
		if d := spell.Edits(name, known); d < least && known != "" {
			best, least = known, d
		}
	}
	if best != "" || table {
		return best
	}
	for _, k := range c.keys() {
		if k.leaf() == (key{name: name}).leaf() {
			return k.name
		}
	}
	return ""
}
