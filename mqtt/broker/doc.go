// Package broker is the engine: it accepts connections and speaks MQTT 3.1, 3.1.1 and 5.0 on them. What clients publish
// it gives to the Router of mqtt/router; what they are sent comes from their sessions.
//
//	net.Conn ─input─→ Frame, Decode ─→ handle_*.go ─→ Session / Router.PublishTo ─→ Subscriber.Deliver
//	                                        │                                          │ (a session)
//	                                        └ step: one batch.Batch for all            ▼
//	net.Conn ←─writer── out (bounded) ←── acks, in order ←── Receipt done        Outlet = another conn
//
// Goroutines, and what each owns of a connection:
//
//	reader (one per connection that is not parked)  conn.rd: input, step, aliases, matches, what is owed
//	writer (while there are bytes to write)         the bytes it has taken out of conn.out
//	wheel  (one per Server)                         nothing: looks at conn.alive, which the reader writes
//	any    (a publisher's reader, the store's       conn.out, conn.acks, conn.given: each has a lock of its own
//	       writer, a session's timer)
//
// conn.agreed is what CONNECT has settled: the reader writes it before CONNACK, all read it afterwards. Idle connections on
// sockets have no reader: one transport.Lot per Server watches them. There is one accept loop per listener, and one
// $SYS publisher per Server. Server.Close ends and awaits them all.
//
// What a client is owed between connections is the business of mqtt.Sessions, retained messages of
// mqtt.Retained, links to other nodes of mqtt.Links, permissions of mqtt.Authority. See DESIGN.md.
package broker
