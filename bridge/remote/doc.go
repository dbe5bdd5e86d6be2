// Package remote is a connection to an MQTT 5 broker that knows nothing of Mangrove. It is the one user of
// paho.golang.
//
//	bridge ─ Publish, Flush ─→ paho ─→ wire ─→ broker
//	bridge ←─ OnMessage, OnAck ─ paho ←─ wire ←─ broker
//	bridge ─ Ack ────────────────────→ wire ─→ broker
//
// What is under way is not kept here: bridge's queue is on disk and is sent again on the next connection, the broker keeps
// what it has for us in its session. So paho is given a session that counts packet identifiers and remembers nothing
// else, and a connection (wire) that writes many packets at once and refuses what is too large.
//
// The goroutines are paho's; they end with the connection, and Done tells. Who dials, when, and what is to be
// sent is for package bridge.
package remote
