// Package broker is the engine: it accepts connections and speaks MQTT 3.1, 3.1.1 and 5.0 on them. What clients publish
// it gives to the Router of mqtt/router; what they are sent comes from their sessions.
//
//	net.Conn ─input─→ Frame, Decode ─→ handle_*.go ─→ Session / Router.PublishTo ─→ Subscriber.Deliver
//	                                        │                                          │ (a session)
//	                                        └ step: one batch.Batch for all            ▼
//	net.Conn ←─writer── out (bounded) ←── acks, in order ←── Receipt done        Outlet = another conn
//
// Goroutines: one reader per connection owns the connection's life and everything marked "reader
// only"; idle connections on sockets are parked in one transport.Lot instead. One writer per connection
// runs only while there are bytes to write; one accept loop per listener; one wheel and one $SYS publisher
// per Server. Server.Close ends and awaits them all.
//
// What a client is owed between connections is the business of mqtt.Sessions, retained messages of
// mqtt.Retained, links to other nodes of mqtt.Links, permissions of mqtt.Authority. See DESIGN.md.
package broker
