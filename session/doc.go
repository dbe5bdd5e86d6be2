// Package session keeps what each client is owed between its connections: subscriptions, queued and
// unacknowledged messages, QoS 2 packet identifiers, the will, and the clock of their expiry.
//
//	broker.conn ─Open→ Manager ─┐                       ┌→ Outlet.Publish / Ack (broker.conn)
//	                            Session ── outbound ────┤
//	Router ─Deliver→────────────┘  │   └── inbound      └→ store batches: records, bodies
//	                               └ jobs: fill from disk, trim, discard, expiry and wills
//
// outbound and inbound are pure state machines: no clock, no I/O, no goroutines; testdata holds their
// scripts. Session puts a lock, the store and the connection around them; Manager has the map,
// the timers and the workers. DESIGN.md says what is guaranteed and why it is built this way.
//
// Goroutines: one that owns the timers and Config.Workers that own the disk reads; Manager.Close
// ends them and waits.
package session
