package bridge

import "mangrove/internal/metrics"

// Reasons of drops beside those of package lane: see metrics.Registry.Dropped.
const (
	dropTooLarge = "link-too-large" // above Config.MaxFrameBytes
	dropRefused  = "link-refused"   // a broker that is no Mangrove node does not take it, as culprit has it
	dropNoTaker  = "no-taker"       // nobody here wants what came over a link
	dropInvalid  = "link-invalid"   // a neighbour sent bytes that are no message, or a topic that may not cross
)

type bridgeMetrics struct {
	registry                *metrics.Registry
	sent, received, repeats *metrics.Counter // messages
	beyondWindow            *metrics.Counter // taken for new because too old to tell
	seenEvicted             *metrics.Counter // chunks of the repeat filter that gave way to others
	framesOut, framesIn     *metrics.Counter
	bytesOut, bytesIn       *metrics.Counter // of DATA frames
	dials, dialErrors       *metrics.Counter
	handedOver              *metrics.Counter
	twins                   *metrics.Counter // connections refused because of another node of the same name
	compared, healed        *metrics.Counter // conversations about retained messages, and messages that were newer elsewhere
	strangers               *metrics.Counter // nodes refused since MaxNeighbours are known
	disagreed               *metrics.Counter // times that interest was asked for anew
	relayed                 *metrics.Counter // frames passed on between two other cores
	asked, moved, stayed    *metrics.Counter // edges, to link to another core; and those that did or did not
	parked                  *metrics.Counter // messages from links, taken above the bound of a queue that refuses
	early, earlyWritten     *metrics.Counter // messages sent before they were written, and written after all
}

func newMetrics(r *metrics.Registry) bridgeMetrics {
	return bridgeMetrics{
		registry:     r,
		sent:         r.Counter("mangrove_link_messages_sent_total"),
		received:     r.Counter("mangrove_link_messages_received_total"),
		repeats:      r.Counter("mangrove_link_messages_repeated_total"),
		seenEvicted:  r.Counter("mangrove_link_seen_evicted_total"),
		beyondWindow: r.Counter("mangrove_link_messages_beyond_window_total"),
		framesOut:    r.Counter("mangrove_link_frames_sent_total"),
		framesIn:     r.Counter("mangrove_link_frames_received_total"),
		bytesOut:     r.Counter("mangrove_link_bytes_sent_total"),
		bytesIn:      r.Counter("mangrove_link_bytes_received_total"),
		dials:        r.Counter("mangrove_link_dials_total"),
		dialErrors:   r.Counter("mangrove_link_dial_errors_total"),
		relayed:      r.Counter("mangrove_link_frames_relayed_total"),
		asked:        r.Counter("mangrove_link_edges_asked_total"),
		moved:        r.Counter("mangrove_link_edges_moved_total"),
		stayed:       r.Counter("mangrove_link_edges_stayed_total"),
		parked:       r.Counter("mangrove_link_parked_total"),
		handedOver:   r.Counter("mangrove_link_messages_handed_over_total"),
		compared:     r.Counter("mangrove_link_retained_compared_total"),
		healed:       r.Counter("mangrove_link_retained_healed_total"),
		twins:        r.Counter("mangrove_link_twins_refused_total"),
		strangers:    r.Counter("mangrove_link_neighbours_refused_total"),
		disagreed:    r.Counter("mangrove_link_interest_disagreed_total"),
		early:        r.Counter("mangrove_link_messages_early_total"),
		earlyWritten: r.Counter("mangrove_link_messages_early_written_total"),
	}
}

func (m *bridgeMetrics) dropped(reason string, n int) { m.registry.Dropped(reason).Add(n) }
