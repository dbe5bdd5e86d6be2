package dashboard

import "time"

// Status is one node at one moment, as /api/v1/status prints it. Counters count since the start
// of the process.
type Status struct {
	Node    string    `json:"node"`
	Role    string    `json:"role"`
	Version string    `json:"version"`
	StoreID string    `json:"store_id"` // hexadecimal
	Started time.Time `json:"started"`
	Uptime  float64   `json:"uptime_seconds"`
	Ready   bool      `json:"ready"`
	Reason  string    `json:"reason,omitempty"` // why it is not ready

	Listen []string `json:"listen"`
	Gossip string   `json:"gossip,omitempty"`
	HTTP   string   `json:"http,omitempty"`

	Clients       int `json:"clients"`  // connected now
	Sessions      int `json:"sessions"` // connected or kept
	Subscriptions int `json:"subscriptions"`
	Retained      int `json:"retained"`

	MessagesIn  uint64 `json:"messages_in"`
	MessagesOut uint64 `json:"messages_out"`
	BytesIn     uint64 `json:"bytes_in"`
	BytesOut    uint64 `json:"bytes_out"`

	QueuedMessages int               `json:"queued_messages"` // for clients
	QueuedBytes    int64             `json:"queued_bytes"`
	Drops          map[string]uint64 `json:"drops"`       // by reason
	FullQueues     int               `json:"full_queues"` // of clients and neighbours, at their bound
	Full           []FullQueue       `json:"full,omitempty"`
	LargestQueues  []Session         `json:"largest_queues"` // of clients: those with the most messages, a few

	Links   []Link   `json:"links"`
	Edges   *Edges   `json:"edges,omitempty"` // of a core
	Members []Member `json:"members"`
	Spread  *Spread  `json:"spread,omitempty"` // of a core
}

// Spread is how edges are spread over the cores, as one core knows it.
type Spread struct {
	Cores  []CoreEdges `json:"cores"`
	Active bool        `json:"active"`          // this core asks edges to link to other cores
	Waits  string      `json:"waits,omitempty"` // what is against asking one now
	Asked  int         `json:"asked"`           // edges, by this core
	Moved  int         `json:"moved"`           // of those
	Stayed int         `json:"stayed"`          // of those
}

// CoreEdges is how many edges one core has.
type CoreEdges struct {
	Name   string `json:"name"`
	Edges  int    `json:"edges"`
	Share  int    `json:"share"` // how many it is to have
	Weight int    `json:"weight"`
}

// Edges is what a core knows of the edges of the fleet, at whichever core they are.
type Edges struct {
	Known     int      `json:"known"`
	Connected int      `json:"connected"`
	Away      []string `json:"away"` // some of those that are not
}

// FullQueue is a queue at its bound. Status has the largest of them.
type FullQueue struct {
	Kind     string    `json:"kind"` // client or neighbour
	Name     string    `json:"name"`
	Messages int       `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Oldest   float64   `json:"oldest_seconds"` // age of the oldest message, at most; 0 = not known
	Since    time.Time `json:"since"`
	Dropped  uint64    `json:"dropped"` // at the bound
	Refused  uint64    `json:"refused"` // publishes
}

// Link is a neighbour node.
type Link struct {
	Name            string    `json:"name"`               // "" = an uplink that has found no core yet
	Scope           string    `json:"scope"`              // what it is to this node: uplink, edge, peer
	State           string    `json:"state"`              // up, connecting, down, moved
	Protocol        string    `json:"protocol,omitempty"` // mangrove or mqtt, while it is up
	Since           time.Time `json:"since"`              // of the state
	Address         string    `json:"address,omitempty"`  // of a core that is reached through another one: "via NAME"
	BacklogMessages int       `json:"backlog_messages"`
	BacklogBytes    int64     `json:"backlog_bytes"`
	Oldest          float64   `json:"oldest_seconds"` // age of the oldest message of the backlog, at most; 0 = not known
	Sent            uint64    `json:"sent"`           // messages since the start
	Received        uint64    `json:"received"`
	Repeats         uint64    `json:"repeats"`               // recognised and not taken in again
	Dropped         uint64    `json:"dropped"`               // because its queue was at its bound
	Refused         uint64    `json:"refused"`               // publishes, likewise
	FullSince       time.Time `json:"full_since,omitzero"`   // when its queue came to its bound; left out while there is room
	LineRate        int       `json:"line_bytes_per_second"` // what its line carries, as measured when it was full; 0 = not known
	Attempts        int       `json:"attempts"`              // to reach it that failed, since it was up for a while
	LastError       string    `json:"last_error,omitempty"`  // why it is not up
	Unheard         bool      `json:"gossip_lost,omitempty"` // gossip does not hear it any more: its link counts
	ClockAhead      bool      `json:"clock_ahead,omitempty"` // its clock is too far ahead of this node's to go by
	Twin            string    `json:"twin,omitempty"`        // another node under its name, or under ours where it told so
}

// Session is what is known of one client, and what it is owed.
type Session struct {
	Client        string    `json:"client"`
	Connected     bool      `json:"connected"`
	AwaySeconds   float64   `json:"away_seconds"`   // since it was connected; 0 while it is
	ExpirySeconds float64   `json:"expiry_seconds"` // how long the session outlives its connection; -1 = for ever
	Subscriptions int       `json:"subscriptions"`
	Queued        int       `json:"queued_messages"` // those on their way included
	QueuedBytes   int64     `json:"queued_bytes"`
	InFlight      int       `json:"in_flight"`           // sent and not acknowledged
	Oldest        float64   `json:"oldest_seconds"`      // age of the oldest, at most; 0 = not known
	Dropped       uint64    `json:"dropped"`             // because its queue was at its bound
	Refused       uint64    `json:"refused"`             // publishes, likewise
	FullSince     time.Time `json:"full_since,omitzero"` // when its queue came to its bound; left out while there is room
}

// Sessions are the first ones of a list.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Matching int       `json:"matching"` // how many there are
}

// Lost is what an operator's wish has cost: messages that were acknowledged to their publishers.
type Lost struct {
	Messages int   `json:"messages"`
	Bytes    int64 `json:"bytes"`
}

// Member is a node in the gossip pool.
type Member struct {
	Name   string `json:"name"`
	Role   string `json:"role"`
	State  string `json:"state"`
	Gossip string `json:"gossip"`
	Link   string `json:"link,omitempty"`
	HTTP   string `json:"http,omitempty"`
}
