package metrics

import "strings"

const dropped = "mangrove_messages_dropped_total"

// Drops lists the counts of Dropped by reason.
func (r *Registry) Drops() map[string]uint64 {
	drops := map[string]uint64{}
	if r == nil {
		return drops
	}
	for _, name := range r.set.ListMetricNames() {
		reason, ok := strings.CutPrefix(name, dropped+`{reason="`)
		if ok {
			drops[strings.TrimSuffix(reason, `"}`)] = r.set.GetOrCreateCounter(name).Get()
		}
	}
	return drops
}
