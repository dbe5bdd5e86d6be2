package broker

import "time"

// Stats is what a Server has done so far.
type Stats struct {
	Version    string
	Uptime     time.Duration
	Conns      int    // open connections, links and such as have not sent CONNECT included
	Clients    int    // connected clients
	MaxClients int    // the most there were at once
	Links      int    // accepted links
	Opened     uint64 // connections accepted

	Subscriptions int // shared groups count once
	SharedGroups  int

	PacketsIn   uint64 // of every kind
	PacketsOut  uint64
	MessagesIn  uint64 // PUBLISH packets from clients
	MessagesOut uint64 // PUBLISH packets to clients
	BytesIn     uint64
	BytesOut    uint64
}

// Stats is safe for concurrent use.
func (s *Server) Stats() Stats {
	m := s.metrics
	s.mu.Lock()
	conns := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Version: s.cfg.Version, Uptime: s.now().Sub(s.began), Conns: conns,
		Clients: int(m.clients.Load()), MaxClients: int(m.maxClients.Load()), Links: int(m.links.Load()),
		Opened: m.opened.Get(), Subscriptions: s.router.Subscriptions(),
		MessagesIn:  m.received[0].Get() + m.received[1].Get() + m.received[2].Get(),
		MessagesOut: m.sent[0].Get() + m.sent[1].Get() + m.sent[2].Get(),
		PacketsIn:   m.packetsIn.Get(), PacketsOut: m.packetsOut.Get(), SharedGroups: s.router.SharedGroups(),
		BytesIn: m.bytesIn.Get(), BytesOut: m.bytesOut.Get(),
	}
}
