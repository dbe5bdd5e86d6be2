package session

import "slices"

// filters is a set of subscription filters, which are never empty: one in most sessions, a few in some, many in
// others.
type filters struct {
	one  string // "" = none
	more *moreFilters
}

// moreFilters are those beside the one: a list while they are few, then a set.
type moreFilters struct {
	few  []string
	many map[string]struct{}
}

const fewFilters = 16

func (f *filters) len() int {
	n := f.more.len()
	if f.one != "" {
		n++
	}
	return n
}

func (f *filters) add(filter string) {
	switch {
	case f.one == filter || f.more.has(filter):
	case f.one == "":
		f.one = filter
	default:
		if f.more == nil {
			f.more = new(moreFilters)
		}
		f.more.add(filter)
	}
}

func (f *filters) remove(filter string) {
	switch {
	case f.one == filter:
		f.one = ""
	case f.more.has(filter):
		if f.more.remove(filter); f.more.len() == 0 {
			f.more = nil
		}
	}
}

// each visits all.
func (f *filters) each(visit func(string)) {
	if f.one != "" {
		visit(f.one)
	}
	if f.more != nil {
		f.more.each(visit)
	}
}

func (f *moreFilters) len() int {
	if f == nil {
		return 0
	}
	return len(f.few) + len(f.many)
}

func (f *moreFilters) has(filter string) bool {
	if f == nil {
		return false
	}
	_, ok := f.many[filter]
	return ok || slices.Contains(f.few, filter)
}

// add takes one that is not there.
func (f *moreFilters) add(filter string) {
	switch {
	case f.many != nil:
		f.many[filter] = struct{}{}
	case len(f.few) < fewFilters:
		f.few = append(f.few, filter)
	default:
		f.many = map[string]struct{}{filter: {}}
		for _, s := range f.few {
			f.many[s] = struct{}{}
		}
		f.few = nil
	}
}

func (f *moreFilters) remove(filter string) {
	delete(f.many, filter)
	if i := slices.Index(f.few, filter); i >= 0 {
		f.few = slices.Delete(f.few, i, i+1)
	}
}

func (f *moreFilters) each(visit func(string)) {
	for _, s := range f.few {
		visit(s)
	}
	for s := range f.many {
		visit(s)
	}
}
