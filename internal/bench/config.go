package bench

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"mangrove/internal/setting"
	"mangrove/mqtt/packet"
)

// Defaults of Config.
const (
	DefaultBroker     = "127.0.0.1:1883"
	DefaultPayload    = 64
	DefaultWindow     = 32
	DefaultOpenWindow = 1024
	DefaultDuration   = 5 * time.Second
	DefaultWarmUp     = time.Second
	DefaultSettle     = 5 * time.Second
	DefaultPublishers = 10
	DefaultSessions   = 1
)

const (
	maxPayload = 1 << 20
	maxWindow  = 65535 // one packet identifier each
	maxFilters = 5_000_000
)

// Config of a run. Scenario must be set; every other zero value works. Zero and negative numbers mean what package
// setting says.
type Config struct {
	Scenario string // one of Scenarios
	Broker   string // HOST:PORT
	Version  packet.Version
	Username string
	Password string

	Count      int  // what it counts depends on the scenario; see Scenarios
	Publishers int  // of wild and offline
	Sessions   int  // durable subscribers of offline and durable
	QoS        byte // of publishing and of subscribing
	Payload    int  // bytes, at least 24
	Window     int  // messages of one publisher that are not delivered and acknowledged

	TLS  bool // of conns: connect with TLS; any certificate will do
	Deaf int  // subscribers to everything that never read, beside the others of p2p
	Keep bool // of sleep and offline: leave sessions and messages at the broker

	Rate     float64       // messages per second of all publishers, at fixed times; 0 = closed loop
	Duration time.Duration // measured
	WarmUp   time.Duration // before; negative = none
	Settle   time.Duration // without any progress, after which what is missing is lost
	Rest     time.Duration // of sleep: until memory is looked at

	// For conns shared by several processes: where this one's source addresses begin, whom to tell when its connections
	// are open, and whether they may go; nil = nobody shares.
	First     int
	Connected func() error
	Release   func() bool

	PID      int            // of the broker, for its CPU and memory; 0 = not told
	Progress func(Progress) // called once a second; nil = nobody looks
}

// Scenario is something to measure.
type Scenario struct {
	Name  string
	Short string // one line
	Count string // what Config.Count counts
	Usual int    // of them
}

// Scenarios lists what Run can do.
func Scenarios() []Scenario {
	return []Scenario{
		{"p2p", "N publishers to N subscribers, each pair on a topic of its own", "pairs", 10},
		{"fanout", "one publisher to N subscribers", "subscribers", 1000},
		{"fanin", "N publishers to one subscriber", "publishers", 1000},
		{"wild", "N filters with + and #, and random topics of a five-level tree", "filters", 50_000},
		{"match", "N filters, of which ten match each message", "filters", 100_000},
		{"churn", "subscribing and unsubscribing at a broker that holds N subscriptions", "subscriptions", 1_000_000},
		{"conns", "N idle connections: memory for each, and how fast they come", "connections", 10_000},
		{"sleep", "N sessions that are kept while their clients are away: memory for each", "sessions", 10_000},
		{"storm", "N clients that come back to their sessions, all at once", "clients", 10_000},
		{"wills", "N clients that vanish, and whether their wills arrive", "clients", 100},
		{"retained", "N retained messages, fetched again and again with a wildcard", "retained messages", 50_000},
		{"offline", "a backlog of N messages for sessions that are away, and draining it", "messages", 100_000},
		{"durable", "N publishers to a durable session that is away: acknowledged messages", "publishers", 10},
	}
}

// Check sets defaults and refuses what cannot be.
func (c *Config) Check() error {
	all := Scenarios()
	i := slices.IndexFunc(all, func(s Scenario) bool { return s.Name == c.Scenario })
	if i < 0 {
		return fmt.Errorf("scenario is %q, want one of %s", c.Scenario, names(all))
	}
	c.Broker = cmp.Or(c.Broker, DefaultBroker)
	c.Version = cmp.Or(c.Version, packet.V311)
	c.WarmUp = cmp.Or(c.WarmUp, DefaultWarmUp)
	window := DefaultWindow
	if c.Rate > 0 {
		window = DefaultOpenWindow
	}
	return errors.Join(
		setting.Default("Count", &c.Count, all[i].Usual),
		setting.Default("Publishers", &c.Publishers, DefaultPublishers),
		setting.Default("Sessions", &c.Sessions, DefaultSessions),
		setting.Default("Payload", &c.Payload, DefaultPayload),
		setting.Default("Window", &c.Window, window),
		setting.Default("Deaf", &c.Deaf, 0),
		setting.Default("Rate", &c.Rate, 0),
		setting.Default("Duration", &c.Duration, DefaultDuration),
		setting.Default("Settle", &c.Settle, DefaultSettle),
		setting.Default("Rest", &c.Rest, ConnsRest),
		setting.Default("First", &c.First, 0),
		setting.Default("PID", &c.PID, 0),
		c.checkBounds(),
	)
}

func (c *Config) checkBounds() error {
	switch {
	case c.Version != packet.V311 && c.Version != packet.V5:
		return fmt.Errorf("MQTT version is %d, want 4 (3.1.1) or 5", c.Version)
	case c.QoS > 2:
		return fmt.Errorf("QoS is %d, want 0, 1 or 2", c.QoS)
	case c.Payload > 0 && c.Payload < stampSize || c.Payload > maxPayload:
		return fmt.Errorf("payload is %d bytes, want %d to %d", c.Payload, stampSize, maxPayload)
	case c.Window > maxWindow:
		return fmt.Errorf("window is %d, want 1 to %d", c.Window, maxWindow)
	case slices.Contains([]string{"wild", "match", "churn"}, c.Scenario) && c.Count > maxFilters:
		return fmt.Errorf("filters are %d, want at most %d", c.Count, maxFilters)
	case math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("rate is %v, want 0 or more messages a second", c.Rate)
	case c.durable() && c.QoS == 0:
		return fmt.Errorf("%s needs QoS 1 or 2: nothing else is kept for a session that is away", c.Scenario)
	}
	return c.checkSockets()
}

// checkSockets refuses what the open-files limit does not allow.
func (c *Config) checkSockets() error {
	most, err := MaxSockets()
	if err != nil {
		return err
	}
	need := map[string]int{"p2p": 2*c.Count + c.Deaf, "fanout": c.Count + 1, "fanin": c.Count + 1, "conns": c.Count, "storm": c.Count, "durable": c.Count + c.Sessions}[c.Scenario]
	if need > most {
		return fmt.Errorf("%d connections are more than the %d that this process may open (ulimit -n)", need, most)
	}
	return nil
}

func (c *Config) durable() bool { return c.Scenario == "offline" || c.Scenario == "durable" }

// limit is where each publisher ends by itself.
func (c *Config) limit() uint64 {
	if c.Scenario == "offline" {
		return uint64((c.Count + c.Publishers - 1) / c.Publishers)
	}
	return math.MaxUint64
}

// address resolves the broker once.
func (c *Config) address() (netip.AddrPort, error) {
	a, err := net.ResolveTCPAddr("tcp", c.Broker)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("broker address: %w", err)
	}
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), nil
}

func names(all []Scenario) string {
	var b []string
	for _, s := range all {
		b = append(b, s.Name)
	}
	return strings.Join(b, ", ")
}

func versionName(v packet.Version) string {
	if v == packet.V5 {
		return "5.0"
	}
	return "3.1.1"
}
