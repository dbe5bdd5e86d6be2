package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// Flags are the command line's words, kept until the file has been read, because they win.
type Flags struct {
	role Role
	file string
	said map[string]*words // by key name
}

// words are the arguments of one flag. As a pflag.Value it checks each as it comes.
type words struct {
	key  key
	args []string
}

// Bind adds the flags of a role to set, -c/--config among them.
func Bind(set *pflag.FlagSet, role Role) *Flags {
	f := &Flags{role: role, said: map[string]*words{}}
	set.SortFlags = false
	set.StringVarP(&f.file, "config", "c", "", "read the configuration `FILE` (see: mangrove config default "+string(role)+")")
	for _, k := range New(role).keys() {
		if k.flag == "" {
			continue
		}
		w := &words{key: k}
		f.said[k.name] = w
		added := set.VarPF(w, k.flag, k.short, flagHelp(k))
		if _, ok := k.value.(toggle); ok {
			added.NoOptDefVal = "true"
		}
	}
	return f
}

// flagHelp is the first sentence of a key's help as --help shows it: the first letter small, no full stop.
func flagHelp(k key) string {
	s, _, _ := strings.Cut(strings.TrimSuffix(k.help, "."), ". ")
	return strings.ToLower(s[:1]) + s[1:]
}

// Config reads the file, if one was named, and puts the flags over it.
func (f *Flags) Config() (*Config, error) {
	c := New(f.role)
	if f.file != "" {
		if err := c.Load(f.file); err != nil {
			return c, err
		}
	}
	var faults []error
	for _, k := range c.keys() {
		w := f.said[k.name]
		if w == nil || len(w.args) == 0 {
			continue
		}
		if err := k.value.fromFlags(w.args); err != nil {
			faults = append(faults, fmt.Errorf("--%s: %w", k.flag, err))
		}
		c.places[k.name] = place{flag: k.flag}
	}
	return c, errors.Join(faults...)
}

// Set implements pflag.Value: the argument is tried on a Config that nobody uses.
func (w *words) Set(s string) error {
	w.args = append(w.args, s)
	return w.key.value.fromFlags(w.args)
}

// String is the default, which --help shows.
func (w *words) String() string {
	if w.key.value == nil || w.key.unset {
		return ""
	}
	switch v := w.key.value.(type) {
	case text:
		return *v.p
	case list:
		return strings.Join(*v.p, ",")
	case toggle:
		return ""
	}
	return w.key.value.toml()
}

// Type names the argument in --help; "bool" has none.
func (w *words) Type() string {
	if _, ok := w.key.value.(toggle); ok {
		return "bool"
	}
	return w.key.value.kind()
}
