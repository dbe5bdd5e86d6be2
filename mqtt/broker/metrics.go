package broker

import (
	"fmt"
	"sync/atomic"

	"mangrove/internal/metrics"
)

// serverMetrics is what a Server counts.
type serverMetrics struct {
	registry *metrics.Registry

	opened      *metrics.Counter
	received    byQoS // PUBLISH from clients
	sent        byQoS // PUBLISH to clients
	packetsIn   *metrics.Counter
	packetsOut  *metrics.Counter
	bytesIn     *metrics.Counter
	bytesOut    *metrics.Counter
	denied      *metrics.Counter // PUBLISH not permitted
	refused     *metrics.Counter // PUBLISH answered with an error because a taker could not keep it
	noOneListen *metrics.Counter // PUBLISH of QoS>=1 without any subscriber
	clients     atomic.Int64     // connections past CONNACK, links left out
	links       atomic.Int64
	maxClients  atomic.Int64
}

// byQoS is one counter for each QoS.
type byQoS [3]*metrics.Counter

// tally is a count for each QoS that is not in its counters yet: a read or a write brings many messages, and a counter that
// all cores share is dear.
type tally [3]int

// addTo adds t to the counters and starts anew.
func (t *tally) addTo(counters *byQoS) {
	for qos, n := range t {
		if n > 0 {
			counters[qos].Add(n)
			t[qos] = 0
		}
	}
}

func newServerMetrics(r *metrics.Registry) *serverMetrics {
	m := &serverMetrics{
		registry:    r,
		opened:      r.Counter("mangrove_connections_opened_total"),
		packetsIn:   r.Counter("mangrove_packets_received_total"),
		packetsOut:  r.Counter("mangrove_packets_sent_total"),
		bytesIn:     r.Counter("mangrove_bytes_received_total"),
		bytesOut:    r.Counter("mangrove_bytes_sent_total"),
		denied:      r.Dropped("not-authorized"),
		refused:     r.Counter("mangrove_publishes_refused_total"),
		noOneListen: r.Counter("mangrove_publishes_unmatched_total"),
	}
	for qos := range m.received {
		m.received[qos] = r.Counter(fmt.Sprintf(`mangrove_messages_received_total{qos="%d"}`, qos))
		m.sent[qos] = r.Counter(fmt.Sprintf(`mangrove_messages_sent_total{qos="%d"}`, qos))
	}
	r.Gauge("mangrove_clients_connected", func() float64 { return float64(m.clients.Load()) })
	r.Gauge("mangrove_links_accepted", func() float64 { return float64(m.links.Load()) })
	return m
}

// closed counts the end of a connection.
func (m *serverMetrics) closed(why string) {
	m.registry.Counter(fmt.Sprintf(`mangrove_connections_closed_total{reason=%q}`, why)).Inc()
}

// unparked counts a connection that costs a goroutine while it is idle.
func (m *serverMetrics) unparked(why string) {
	m.registry.Counter(fmt.Sprintf(`mangrove_connections_unparked_total{reason=%q}`, why)).Inc()
}

func (m *serverMetrics) clientIn() {
	n := m.clients.Add(1)
	for {
		high := m.maxClients.Load()
		if n <= high || m.maxClients.CompareAndSwap(high, n) {
			return
		}
	}
}
