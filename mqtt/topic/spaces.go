package topic

// The prefixes of the standard and of this system.
const (
	// SysPrefix starts the topics in which a node tells its own figures.
	SysPrefix = "$SYS/"
	// connectionPrefix starts the topics that say whether a node or a bridge is connected: its name and "/state", as Mosquitto
	// has them. A node tells of nodes that link to it, see StateOf; a client that is a bridge, of itself.
	connectionPrefix = SysPrefix + "broker/connection/"
	stateSuffix      = "/state"
	// LinkPrefix starts the topics of link frames: PUBLISH packets on a connection that is a link. They are no
	// messages.
	LinkPrefix = "$link/"
	// sharePrefix starts the filter of a shared subscription (section 4.8.2). "$share" without the slash is an ordinary
	// filter, and as a name of a PUBLISH it means nothing.
	sharePrefix = "$share/"
)

// spaces is the one place that knows the prefixes which begin with "$". Whoever decides something by topic asks it,
// through the functions below; for all other topics each of them tests one byte. No code outside this package may
// test such a prefix (internal/repotest).
//
//	prefix    publish       subscribe     crosses  retained  name counts   filter counts
//	$share/   client, node  client, node  no       yes       whole         after level: "$share/g/f" as "f"
//	$SYS/     node          client, node  no       yes       whole         whole
//	$SYS/broker/connection/ID/state: as $SYS/, but the client ID may publish to its own
//	$link/    nobody        nobody        no       no        whole         whole
//	$…        client, node  client, node  no       yes       whole         whole
//
// To add a prefix (docs/recipes.md has the whole of it):
//  1. Add its row here, before the last. Say who may publish and subscribe, and which part counts: the Authority and the
//     durability rules are then asked about that part.
//  2. Write the part that does the work as an mqtt.Subscriber and give it its filter ("$word/#") at the Router: it gets
//     each message with the publisher's receipt, and writes what it must keep into the receipt's batch.
//  3. Add the prefix to dollarNames in mqtt/broker/dollar_test.go and to bridge/dollar_test.go, which say what a client
//     and a link may do there, and to the table in docs/architecture.md.
//
// If a link has to bring such messages, Crosses is for the sending side and Link in Publish for the receiving one.
var spaces = table{
	{Prefix: sharePrefix, Publish: Client | Node, Subscribe: Client | Node, Retained: true, FilterCounts: AfterLevel},
	{Prefix: connectionPrefix, Publish: Client | Node, Owned: stateSuffix, Subscribe: Client | Node, Retained: true},
	{Prefix: SysPrefix, Publish: Node, Subscribe: Client | Node, Retained: true},
	{Prefix: LinkPrefix},
	{Prefix: "$", Publish: Client | Node, Subscribe: Client | Node, Retained: true},
}

// Special reports whether s, a name, a filter or the first level of one, begins with "$": wildcards at the start of a
// filter do not match it [MQTT-4.7.2-1], and spaces says what else is different.
func Special(s string) bool { return s != "" && s[0] == '$' }

// MayPublish reports whether by may publish to name. Of a client, the Authority has to agree about Counted(name).
func MayPublish(name string, by Party) bool { return !Special(name) || spaces.mayPublish(name, by, "") }

// MayPublishAs is MayPublish of the client with that id.
func MayPublishAs(name, clientID string) bool {
	return !Special(name) || spaces.mayPublish(name, Client, clientID)
}

// StateOf is the topic that says whether a node or a bridge is connected.
func StateOf(name string) string { return connectionPrefix + name + stateSuffix }

// MaySubscribe reports whether by may subscribe to filter, in full. Of a client, the Authority has to agree about
// CountedFilter(filter).
func MaySubscribe(filter string, by Party) bool {
	return !Special(filter) || spaces.maySubscribe(filter, by)
}

// Counted is the topic that counts for permission and durability when somebody publishes to name: most often name
// itself.
func Counted(name string) string {
	if !Special(name) {
		return name
	}
	return spaces.counted(name)
}

// CountedFilter is the filter that counts for permission when somebody subscribes to filter: what follows
// "$share/group/", most often filter itself.
func CountedFilter(filter string) string {
	if !Special(filter) {
		return filter
	}
	return spaces.countedFilter(filter)
}

// Crosses reports whether messages of a name, or interest in a filter, may leave over a link. "" does not.
func Crosses(s string) bool { return s != "" && (s[0] != '$' || spaces.of(s).Crosses) }

// Retained reports whether a message published to name with RETAIN is kept.
func Retained(name string) bool { return !Special(name) || spaces.of(name).Retained }
