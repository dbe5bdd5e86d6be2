package bridge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"mangrove/bridge/frame"
	"mangrove/internal/metrics"
	"mangrove/internal/overflow"
	"mangrove/internal/setting"
	"mangrove/internal/store"
	"mangrove/mqtt"
	"mangrove/mqtt/topic"
)

// Role is what a node is among the others.
type Role string

const (
	RoleEdge Role = "edge" // dials one core
	RoleCore Role = "core" // links to all cores, and takes links of edges
)

// Defaults of Config.
const (
	DefaultMaxQueueMessages    = 1_000_000
	DefaultMaxQueueBytes       = 1 << 30
	DefaultMaxVolatileMessages = 4096
	DefaultMaxVolatileBytes    = 4 << 20
	DefaultMaxInterest         = 200_000
	DefaultMaxNeighbours       = 200_000
	DefaultMaxFrameBytes       = 4<<20 - frameRoom
	DefaultMaxPartBytes        = 256<<20 + frameRoom // MQTT knows no larger messages
	DefaultPartLinger          = time.Hour
	DefaultWindow              = 1024
	DefaultWindowBytes         = 4 << 20
	DefaultSeenBytes           = 64 << 20 // of a core: 100,000 origins, most of them with two chunks
	DefaultEdgeSeenBytes       = 16 << 20
	DefaultInterestLinger      = time.Minute
	DefaultMovedLinger         = time.Hour
	DefaultNeighbourExpiry     = 7 * 24 * time.Hour
	DefaultRefuseRetry         = 5 * time.Second
	DefaultHandshake           = 10 * time.Second
	DefaultTrimDelay           = time.Second
	DefaultAckPatience         = 30 * time.Second
	DefaultHealQuiet           = time.Second
	DefaultDetourAfter         = 2 * time.Second
	DefaultCheckInterest       = 10 * time.Second
	DefaultSpreadEvery         = 10 * time.Second
	DefaultAwayAfter           = 3 * time.Second
	DefaultSettleTime          = DefaultMaxBackoff + 5*time.Second
	DefaultKeepAlive           = 15 * time.Second
	DefaultMinBackoff          = 200 * time.Millisecond
	DefaultMaxBackoff          = 20 * time.Second
)

// Config of a Bridge. Node, Role, Store and Router are required; other zero values work. Zero and negative numbers mean
// what package setting says: zero is the default above.
type Config struct {
	Node     string // this node's name, unique in the fleet
	Role     Role
	Store    *store.Store // stays open until Close returned
	Router   mqtt.Router
	Retained Retained // where to find retained messages for a new neighbour or subscription; nil = there are none

	UplinkFilters []string // what an edge sends up; nil = "#", which is everything but $ topics

	// MaxQueueMessages and MaxQueueBytes bound the durable queue for one neighbour; WhenFull says by topic what
	// happens then, overflow.Default without it. Negative = no bound.
	MaxQueueMessages int
	MaxQueueBytes    int
	WhenFull         overflow.Rules
	// MaxVolatileMessages and MaxVolatileBytes bound the QoS 0 messages that wait in memory for a neighbour that is
	// connected; at the bound the oldest is dropped and counted.
	MaxVolatileMessages int
	MaxVolatileBytes    int
	// MaxInterest bounds the filters taken from one neighbour; above it its link is closed. This node announces at most half
	// of that: prefixes in place of what is more.
	MaxInterest int
	// MaxNeighbours bounds the nodes that are known, away or not: above it one with a name that is not known is refused at its HELLO. Cores
	// that gossip tells of, or that this node dials, always find room.
	MaxNeighbours int
	// MaxFrameBytes bounds the messages in one frame: above it a message goes in fragments; to a node that knows none
	// it cannot, and is dropped and counted. The lower bound of both sides counts. The listener for links must take 64 KiB more.
	MaxFrameBytes int
	// MaxPartBytes bounds a frame that comes in fragments, because it has one message that is too large for the line or for
	// MaxFrameBytes, and all together that are not whole yet; PartLinger is how long one waits for the neighbour to come back.
	MaxPartBytes int
	PartLinger   time.Duration
	// Window and WindowBytes bound what a neighbour may send before it is acknowledged.
	Window      int
	WindowBytes int
	// SeenBytes bounds the memory that the repeat filter takes, see bridge/seen; about as much is on disk. Zero is DefaultSeenBytes at a
	// core and DefaultEdgeSeenBytes at an edge.
	SeenBytes int

	InterestLinger  time.Duration // interest outlives the last subscriber by this, for at most MaxInterest/2 filters
	MovedLinger     time.Duration // how long leftovers for an edge that moved are handed on
	NeighbourExpiry time.Duration // a neighbour not seen for so long is forgotten with its queue; negative = never
	RefuseRetry     time.Duration // when to come again after a refused message
	Handshake       time.Duration // bound on connecting, and on each answer of a handshake, HELLO among them, while hardly a byte moves
	EarlyPatience   time.Duration // how long an edge waits for the core to acknowledge a message before it writes it; 0 = it is written first
	AckPatience     time.Duration // how long a plain broker may take to acknowledge a message that it has got; then the link is made anew
	TrimDelay       time.Duration // how long removal of acknowledged messages may wait for company
	CheckInterest   time.Duration // how often both ends of a link check that they agree on interest; by default twice KeepAlive where that is above its default
	AwayAfter       time.Duration // how long an edge may be connected nowhere before it is told that it is not: it may be moving
	SettleTime      time.Duration // how long edges of a core that lost its memory may take to turn up somewhere: longer than their Backoff.Max
	DetourAfter     time.Duration // how long a core that should be dialled has no link before it is asked for through another core
	SpreadEvery     time.Duration // how often a core looks whether it has too many edges, and asks some to link to others; negative = never
	HealQuiet       time.Duration // how long a link is in doubt before both ends compare what they retain

	// Dialling.
	KeepAlive time.Duration // a dead line is noticed after 1.5 times that
	Backoff   Backoff       // between attempts, full jitter
	Protocol  Protocol      // what an edge speaks to its uplink; default ProtocolAuto
	Balance   string        // how an edge picks its core: hash (default), weighted, round-robin, random
	Username  string
	Password  []byte
	Dial      func(ctx context.Context, addr string) (net.Conn, error) // nil = TCP

	Now     func() time.Time      // nil = time.Now
	Rand    func(n uint64) uint64 // below n > 0; nil = math/rand/v2. Safe for concurrent use.
	Log     *slog.Logger
	Metrics *metrics.Registry
}

// Backoff bounds the wait before the next attempt to dial.
type Backoff struct{ Min, Max time.Duration }

// check fills in the defaults.
func (c *Config) check() error {
	switch {
	case c.Node == "" || len(c.Node) > frame.MaxName:
		return fmt.Errorf("Config.Node must have 1 to %d bytes", frame.MaxName)
	case strings.HasPrefix(c.Node, "$"):
		return errors.New("Config.Node must not start with $")
	case c.Role != RoleEdge && c.Role != RoleCore:
		return fmt.Errorf("Config.Role is %q, allowed are %q and %q", c.Role, RoleEdge, RoleCore)
	case c.Store == nil || c.Router == nil:
		return errors.New("Config.Store and Config.Router are required")
	}
	if err := c.defaults(); err != nil {
		return err
	}
	if err := c.WhenFull.Check(); err != nil {
		return fmt.Errorf("Config.WhenFull: %w", err)
	}
	switch c.Protocol {
	case ProtocolAuto, ProtocolMangrove, ProtocolMQTT:
	default:
		return fmt.Errorf("Config.Protocol is %q, allowed are %q, %q and %q", c.Protocol, ProtocolAuto, ProtocolMangrove, ProtocolMQTT)
	}
	if _, err := newBalance(c.Balance, c.Node, c.Rand); err != nil {
		return err
	}
	return c.checkFilters()
}

// checkFilters holds what may be said of what goes up.
func (c *Config) checkFilters() error {
	for _, f := range c.UplinkFilters {
		if err := topic.CheckFilter(f, topic.MaxLevels); err != nil || !topic.Crosses(f) {
			return fmt.Errorf("Config.UplinkFilters has %q, allowed are topic filters that do not start with $", f)
		}
	}
	return nil
}

func (c *Config) defaults() error {
	c.Protocol = cmp.Or(c.Protocol, ProtocolAuto)
	if c.UplinkFilters == nil {
		c.UplinkFilters = []string{"#"}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Uint64N
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c.numbers()
}

func (c *Config) numbers() error {
	seenBytes := DefaultSeenBytes
	if c.Role == RoleEdge {
		seenBytes = DefaultEdgeSeenBytes
	}
	setting.Bound(&c.MaxQueueMessages, DefaultMaxQueueMessages)
	setting.Bound(&c.MaxQueueBytes, DefaultMaxQueueBytes)
	setting.Bound(&c.NeighbourExpiry, DefaultNeighbourExpiry)
	c.SpreadEvery = cmp.Or(c.SpreadEvery, DefaultSpreadEvery)
	err := errors.Join(
		setting.Default("Config.MaxVolatileMessages", &c.MaxVolatileMessages, DefaultMaxVolatileMessages),
		setting.Default("Config.MaxVolatileBytes", &c.MaxVolatileBytes, DefaultMaxVolatileBytes),
		setting.Default("Config.MaxInterest", &c.MaxInterest, DefaultMaxInterest),
		setting.Default("Config.MaxNeighbours", &c.MaxNeighbours, DefaultMaxNeighbours),
		setting.Default("Config.MaxFrameBytes", &c.MaxFrameBytes, DefaultMaxFrameBytes),
		setting.Default("Config.MaxPartBytes", &c.MaxPartBytes, DefaultMaxPartBytes),
		setting.Default("Config.PartLinger", &c.PartLinger, DefaultPartLinger),
		setting.Default("Config.Window", &c.Window, DefaultWindow),
		setting.Default("Config.WindowBytes", &c.WindowBytes, DefaultWindowBytes),
		setting.Default("Config.SeenBytes", &c.SeenBytes, seenBytes),
		setting.Default("Config.InterestLinger", &c.InterestLinger, DefaultInterestLinger),
		setting.Default("Config.MovedLinger", &c.MovedLinger, DefaultMovedLinger),
		setting.Default("Config.RefuseRetry", &c.RefuseRetry, DefaultRefuseRetry),
		setting.Default("Config.Handshake", &c.Handshake, DefaultHandshake),
		setting.Default("Config.EarlyPatience", &c.EarlyPatience, 0),
		setting.Default("Config.AckPatience", &c.AckPatience, DefaultAckPatience),
		setting.Default("Config.TrimDelay", &c.TrimDelay, DefaultTrimDelay),
		setting.Default("Config.DetourAfter", &c.DetourAfter, DefaultDetourAfter),
		setting.Default("Config.HealQuiet", &c.HealQuiet, DefaultHealQuiet),
		setting.Default("Config.AwayAfter", &c.AwayAfter, DefaultAwayAfter),
		setting.Default("Config.SettleTime", &c.SettleTime, DefaultSettleTime),
		setting.Default("Config.KeepAlive", &c.KeepAlive, DefaultKeepAlive),
		setting.Default("Config.Backoff.Min", &c.Backoff.Min, DefaultMinBackoff),
		setting.Default("Config.Backoff.Max", &c.Backoff.Max, DefaultMaxBackoff),
	)
	c.Backoff.Max = max(c.Backoff.Min, c.Backoff.Max)
	check := DefaultCheckInterest
	if c.KeepAlive > DefaultKeepAlive { // the line is paid by the byte
		check = 2 * c.KeepAlive
	}
	return errors.Join(err, setting.Default("Config.CheckInterest", &c.CheckInterest, check))
}
