package config

import (
	"math"
	"strings"
	"time"

	"mangrove/internal/node"
	"mangrove/internal/overflow"
	"mangrove/mqtt/broker"
	"mangrove/mqtt/router"
	"mangrove/mqtt/transport"
)

// key is one thing an operator can say.
type key struct {
	name  string // in the file, with its table: "link.cores"
	flag  string // "" = file only
	short string // one-letter flag
	help  string // sentences; the first is the flag's help
	only  Role   // "" = both roles
	unset bool   // the default file shows it commented out
	value value
}

// table is the part of the name before the last dot.
func (k key) table() string {
	i := strings.LastIndexByte(k.name, '.')
	return k.name[:max(0, i)]
}

// leaf is the name inside its table.
func (k key) leaf() string { return k.name[strings.LastIndexByte(k.name, '.')+1:] }

// keys lists what c's role knows, in the order of the default file: keys without a table first.
func (c *Config) keys() []key {
	var mine []key
	for _, group := range [][]key{c.nodeKeys(), c.securityKeys(), c.linkKeys(), c.coreKeys(), c.gossipKeys(), c.durabilityKeys(), c.limitKeys(), c.sharedKeys(), c.shutdownKeys()} {
		for _, k := range group {
			if k.only == "" || k.only == c.Role {
				mine = append(mine, k)
			}
		}
	}
	return mine
}

func (c *Config) nodeKeys() []key {
	role := (*string)(&c.Role)
	return []key{
		{name: "role", help: "What this node is: an edge beside the devices, or a core.", value: choice(role, string(c.Role))},
		{name: "node", flag: "node", unset: c.Node == "", help: "Name of this node, unique in the fleet (default the host's name).",
			value: text{p: &c.Node, word: "NAME", allowed: "a name", empty: true, check: checkName}},
		{name: "data", flag: "data", help: "Folder for sessions, retained messages and queues. Made if missing; one node at a time.",
			value: text{p: &c.Data, word: "DIR", allowed: "the path of a folder"}},
		{name: "profile", flag: "profile", help: "What the disk under that folder is like: standard, or sd-card for one that is slow and wears out: fewer and fuller pages are written, for acknowledgements that come up to 50 ms later under load, and link.early is on.",
			value: choice(&c.Profile, node.Standard, node.SDCard)},
		{name: "listen", flag: "listen", help: "Where clients and other nodes connect, several times if need be: " + transport.Forms() + ". What clients there are granted may follow, as ADDR?max-qos=1&retain=off: " + broker.ListenerOptions + ". Port 0 picks a free one. Beyond loopback it needs auth.password_file or allow_anonymous.",
			value: list{p: &c.Listen, word: "ADDR", allowed: "addresses such as \"127.0.0.1:1883\" or \"wss://0.0.0.0:443\"", check: listener}},
		{name: "allow_anonymous", flag: "allow-anonymous", help: "Let everybody who reaches the listeners connect. Without a password file this is so on loopback anyway.",
			value: toggle{&c.AllowAnonymous}},
		{name: "log.level", flag: "log-level", help: "The least important events to log.",
			value: choice(&c.Log.Level, "debug", "info", "warn", "error")},
		{name: "log.format", flag: "log-format", help: "How to write events: text for people, json for machines.",
			value: choice(&c.Log.Format, "text", "json")},
		{name: "http.address", flag: "http", help: "Where /metrics, /healthz, /readyz and the status page are served. Empty = nowhere.",
			value: text{p: &c.HTTP.Address, word: "HOST:PORT", allowed: "HOST:PORT", empty: true, check: hostPort}},
		{name: "http.insecure", flag: "http-insecure", help: "Serve them beyond loopback too, to everybody and in clear.",
			value: toggle{&c.HTTP.Insecure}},
		{name: "http.pprof", help: "Serve profiles of the program under /debug/pprof/ there, on loopback only; for developers.",
			value: toggle{&c.HTTP.Pprof}},
	}
}

func (c *Config) securityKeys() []key {
	const pem = "the path of a PEM file"
	return []key{
		{name: "auth.password_file", flag: "password-file", unset: true, help: "Who may connect: NAME:HASH lines (argon2id). Empty = nobody is asked.",
			value: text{p: &c.Auth.PasswordFile, word: "FILE", allowed: "the path of a password file", empty: true}},
		{name: "tls.cert", flag: "tls-cert", unset: true, help: "Certificate chain for tls:// and wss:// listeners.",
			value: text{p: &c.TLS.Cert, word: "FILE", allowed: pem, empty: true}},
		{name: "tls.key", flag: "tls-key", unset: true, help: "Private key of that certificate.",
			value: text{p: &c.TLS.Key, word: "FILE", allowed: pem, empty: true}},
		{name: "tls.client_ca", flag: "tls-client-ca", unset: true, help: "Certificate authorities of clients, which must then show a certificate of theirs.",
			value: text{p: &c.TLS.ClientCA, word: "FILE", allowed: pem, empty: true}},
	}
}

func (c *Config) linkKeys() []key {
	return []key{
		{name: "link.cores", flag: "core", only: Edge, help: "Cores to link to, as HOST:PORT or tls://HOST:PORT of their listeners. One is enough: it tells of the others. None = no uplink.",
			value: list{p: &c.Link.Cores, word: "HOST:PORT,...", allowed: "addresses such as \"core-1.example:1883\" or \"tls://core-1.example:8883\"", comma: true, check: neighbour}},
		{name: "link.discovery", flag: "discovery", only: Edge, help: "How cores are found: seeds (the given ones and those they tell of), static (the given ones only) or gossip (by membership, see [gossip]).",
			value: choice(&c.Link.Discovery, "seeds", "static", "gossip")},
		{name: "link.protocol", only: Edge, help: "What to speak to them: auto (a Mangrove link, or plain MQTT 5 where another broker answers), mangrove (a link or nothing) or mqtt (plain MQTT 5).",
			value: choice(&c.Link.Protocol, "auto", "mangrove", "mqtt")},
		{name: "link.up", flag: "up", only: Edge, help: "Topic filters whose messages always go up to the cores. Topics that begin with $ never do.",
			value: list{p: &c.Link.Up, word: "FILTER", allowed: "topic filters such as \"site/7/#\"", check: filter}},
		{name: "link.early", only: Edge, help: "Send QoS 1 messages that nobody keeps here but the queue for the cores before they are written, and write only those that a core does not acknowledge within this time, such as \"200ms\". Spares the disk. off = write first; auto = 200ms with profile sd-card, else off.",
			value: text{p: &c.Link.Early, word: "TIME", allowed: "auto, off, or a time from 1ms to 10s", check: earlyTime}},
		{name: "link.advertise", flag: "advertise", only: Core, unset: true, help: "Where other nodes reach this core's listener. Default: the first listener's address.",
			value: text{p: &c.Link.Advertise, word: "ADDR", allowed: "an address such as core-1.example:1883", empty: true, check: neighbour}},
		{name: "link.keep_alive", help: "How long a link may be silent: a dead line is noticed within one and a half times that. On a line that is paid by the byte, \"60s\" costs some 16 MB a month, the default 90 MB.",
			value: span{p: &c.Link.KeepAlive, most: 65535 * time.Second}},
		{name: "link.repeat_bytes", help: "Memory in which messages that came over links are remembered, so that those that come again are recognised; about as much is on disk. Each node that messages come from needs some 640 bytes, up to 128 KiB where many come.",
			value: number{&c.Link.RepeatBytes, 64 << 10, math.MaxInt32}},
		{name: "link.neighbours", only: Core, help: "How many nodes may be known here, those that are away among them: each name has a record, and a queue for a week. One that is not known is refused above that.",
			value: number{&c.Link.Neighbours, 1, math.MaxInt32}},
		{name: "link.username", flag: "link-username", unset: true, help: "User name to show to other nodes' listeners.",
			value: text{p: &c.Link.Username, word: "NAME", allowed: "a user name", empty: true}},
		{name: "link.password_file", flag: "link-password-file", unset: true, help: "File whose first line is the password to show with it.",
			value: text{p: &c.Link.PasswordFile, word: "FILE", allowed: "the path of a file", empty: true}},
		{name: "link.ca", flag: "link-ca", unset: true, help: "Certificate authorities that other nodes' tls:// and wss:// listeners must show a certificate of. Default: the system's.",
			value: text{p: &c.Link.CA, word: "FILE", allowed: "the path of a PEM file", empty: true}},
	}
}

func (c *Config) coreKeys() []key {
	return []key{
		{name: "core.weight", only: Core, help: "This core's share of the edges, in proportion to the other cores' weights: with 2 it has twice as many as one with 1.",
			value: number{&c.Core.Weight, 1, 1000}},
		{name: "core.spread", only: Core, help: "How often this core looks whether it has more edges than its share. When a core is a fifth off its share, those that have too many ask some of their edges, a quarter of the excess and at most ten each time, to link to cores that have too few. \"0s\" = never.",
			value: span{p: &c.Core.Spread, most: time.Hour, least: 100 * time.Millisecond}},
	}
}

func (c *Config) gossipKeys() []key {
	return []key{
		{name: "gossip.address", flag: "gossip", unset: c.Role == Edge, help: "Where membership is gossiped, TCP and UDP. Beyond loopback it needs gossip.key_file or gossip.insecure.",
			value: text{p: &c.Gossip.Address, word: "HOST:PORT", allowed: "HOST:PORT", empty: true, check: hostPort}},
		{name: "gossip.join", flag: "join", unset: true, help: "Gossip addresses of some members, to find the others through.",
			value: list{p: &c.Gossip.Join, word: "HOST:PORT,...", allowed: "addresses such as \"core-1.example:7946\"", comma: true, check: remote}},
		{name: "gossip.advertise", flag: "gossip-advertise", unset: true, help: "Address at which other members reach this one, when it is not the one it listens on.",
			value: text{p: &c.Gossip.Advertise, word: "HOST:PORT", allowed: "HOST:PORT", empty: true, check: remote}},
		{name: "gossip.key_file", flag: "gossip-key-file", unset: true, help: "File with the fleet's gossip key: 16, 24 or 32 bytes in base64 (head -c32 /dev/urandom | base64).",
			value: text{p: &c.Gossip.KeyFile, word: "FILE", allowed: "the path of a file", empty: true}},
		{name: "gossip.insecure", flag: "gossip-insecure", help: "Gossip beyond loopback without a key: whoever reaches the port can join.",
			value: toggle{&c.Gossip.Insecure}},
		{name: "gossip.profile", flag: "gossip-profile", help: "Timing of failure detection: local for one machine, lan for a network, auto by the address.",
			value: choice(&c.Gossip.Profile, "auto", "local", "lan")},
	}
}

func (c *Config) durabilityKeys() []key {
	const class = "commit, a time from 1ms to 1h such as 50ms, or none"
	return []key{
		{name: "durability.default", help: "When a QoS 1 or 2 publish is acknowledged: commit (it is on stable storage), a time such as \"50ms\" (it is written, and on stable storage within that time) or none (it is written). What is written is there after the process was killed; a power cut loses what is not on stable storage.",
			value: text{p: &c.Durability.Default, word: "CLASS", allowed: class, check: durabilityClass}},
		{name: "durability.rules", help: "The same for some topics, as \"sensors/+/fast = 50ms\" or \"debug/# = none\"; the first whose filter matches counts.",
			value: list{p: &c.Durability.Rules, word: "RULE", allowed: "rules such as \"debug/# = none\"", check: durabilityRule}},
	}
}

func (c *Config) limitKeys() []key {
	return []key{
		{name: "limits.connections", help: "Most connections at one time; more are closed at once.",
			value: number{&c.Limits.Connections, 1, 10_000_000}},
		{name: "limits.packet_size", help: "Largest MQTT packet in bytes; a client that sends a larger one is disconnected (0x95). Nothing above 48 MiB is kept.",
			value: number{&c.Limits.PacketSize, 1024, 256 << 20}},
		{name: "limits.queue_messages", help: "Most messages waiting for one client; see limits.when_full.",
			value: number{&c.Limits.QueueMessages, 1, math.MaxInt32}},
		{name: "limits.queue_bytes", help: "Most bytes waiting for one client, likewise.",
			value: number{&c.Limits.QueueBytes, 4096, math.MaxInt32}},
		{name: "limits.link_messages", help: "Most messages waiting for one neighbour node, likewise.",
			value: number{&c.Limits.LinkMessages, 1, math.MaxInt32}},
		{name: "limits.link_bytes", help: "Most bytes waiting for one neighbour node, likewise.",
			value: number{&c.Limits.LinkBytes, 4096, math.MaxInt32}},
		{name: "limits.when_full", help: "What happens at these four bounds, after what has expired is gone: drop-oldest (the oldest messages of the full queue give way; counted), refuse (the publisher of a QoS 1 or 2 message is told so, 0x97, and comes again; what a link brings is taken up to twice the bound) or drop-new (the full queue goes without the message; counted).",
			value: choice(&c.Limits.WhenFull, string(overflow.DropOldest), string(overflow.Refuse), string(overflow.DropNew))},
		{name: "limits.when_full_rules", help: "The same for some topics, as \"alarm/# = refuse\"; the first whose filter matches counts. What is queued under refuse does not give way to other topics.",
			value: list{p: &c.Limits.WhenFullRules, word: "RULE", allowed: "rules such as \"alarm/# = refuse\"", check: whenFullRule}},
		{name: "limits.cleared", help: "Of how many topics at most it is known that their retained message was cleared or has expired; above it those that would be forgotten first are. A node that was away may bring back what is not known to be gone.",
			value: number{&c.Limits.Cleared, 1, math.MaxInt32}},
		{name: "limits.cleared_for", help: "How long that is known, as \"168h\": longer than a node may be away.",
			value: span{p: &c.Limits.ClearedFor, most: 10 * 365 * 24 * time.Hour}},
		{name: "limits.topic_levels", help: "Most levels of a topic name or filter; deeper ones are refused (0x90, 0x8F).",
			value: number{&c.Limits.TopicLevels, 1, 65535}},
		{name: "limits.receive_maximum", help: "Most unacknowledged QoS 1 and 2 messages from one client; above it a 5.0 client is disconnected (0x93), others wait.",
			value: number{&c.Limits.ReceiveMaximum, 1, 65535}},
		{name: "limits.session_expiry", help: "How long a session may outlive its connection at most, as \"168h\". \"0s\" = no bound.",
			value: span{p: &c.Limits.SessionExpiry, most: math.MaxUint32 * time.Second}},
		{name: "limits.keep_alive", help: "Longest keep-alive; 5.0 clients that ask for more, or for none, are given this. \"0s\" = no bound.",
			value: span{p: &c.Limits.KeepAlive, most: 65535 * time.Second}},
	}
}

func (c *Config) sharedKeys() []key {
	return []key{
		{name: "shared.strategy", help: "Which member of a shared subscription ($share/GROUP/FILTER) gets a message, among those at this node that are connected: each in turn, any, any by its weight, always the same one for a publisher or for a topic, or one until it leaves.",
			value: choice(&c.Shared.Strategy, router.BalanceNames...)},
		{name: "shared.weights", unset: true, help: "How often the strategy weighted takes a member, compared with the others: CLIENT=WEIGHT. Members that are not named weigh 1.",
			value: list{p: &c.Shared.Weights, word: "CLIENT=WEIGHT", allowed: "client ids with their weights, such as \"worker-1=3\"", check: weight}},
	}
}

func (c *Config) shutdownKeys() []key {
	return []key{
		{name: "shutdown.other_servers", unset: true, help: "Servers that 5.0 clients are sent to (0x9C) when this node shuts down: HOST or HOST:PORT, separated by spaces.",
			value: text{p: &c.Shutdown.OtherServers, word: "HOST:PORT", allowed: "HOST or HOST:PORT, separated by spaces", empty: true}},
	}
}
