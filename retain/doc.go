// Package retain keeps the last message of each topic that was published with RETAIN, in memory or on
// disk. No session owns it. [MQTT311-3.1.2-7]
//
//	Router.Publish ─Set(m, receipt)→ trie of topics (visible at once) ─ record → receipt's batch
//	                                       ▲                                        │ stable, or refused
//	                                       └──────────── Committed: settle, or roll back
//	session, bridge ─Match(filter)→ trie → entries → messages from the cache, else from the store in pieces
//
// The index in memory knows of each topic the body's id, origin, size and expiry, in stored time (package due). The
// messages themselves live in the node's store, shared with the queues that hold them too; small ones are also kept in
// memory within Config.CacheBytes. Without a store everything is in memory and gone with the process.
//
// Each message and each clearing has a version (mqtt.Version, its time of package internal/hlc); the newest of a topic wins, whatever
// way and in whatever order they come. Clearings are known for a while (clearing.go). Package bridge compares what nodes hold by
// Held, and brings the older one up to date by Newest.
//
// New starts one goroutine, which removes expired messages in small steps and ends with Close.
package retain
