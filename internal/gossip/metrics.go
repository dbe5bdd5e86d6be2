package gossip

import (
	"fmt"

	"mangrove/internal/metrics"
)

// counters of one pool.
type counters struct {
	joins        *metrics.Counter
	joinFailures *metrics.Counter
	refused      *metrics.Counter
	changes      *metrics.Counter
}

func newCounters(r *metrics.Registry) counters {
	return counters{
		joins:        r.Counter("mangrove_gossip_joins_total"),
		joinFailures: r.Counter("mangrove_gossip_join_failures_total"),
		refused:      r.Counter("mangrove_gossip_refused_total"),
		changes:      r.Counter("mangrove_gossip_changes_total"),
	}
}

// watch shows how many members there are in each state.
func (p *Pool) watch(r *metrics.Registry) {
	for _, s := range []State{Alive, Suspect} {
		r.Gauge(fmt.Sprintf("mangrove_gossip_members{state=%q}", s), func() (n float64) {
			for _, m := range p.Members() {
				if m.State == s {
					n++
				}
			}
			return n
		})
	}
}
