// Package client is an MQTT client for versions 3.1, 3.1.1 and 5.0: the near end of links between
// brokers, of the commands pub and sub, of simulated devices and of tests.
//
//	Publish ─ window (State) ─┐                       ┌→ OnMessage, OnFrame
//	Subscribe, Frame ─────────┴→ writer → conn → reader ─┴→ acknowledgements: window, done
//
// One Client is one connection: there is no reconnecting inside. What must outlive a connection
// is in a State, which the next Dial is given: messages that were not acknowledged are then
// sent again, and QoS 2 stays exactly once.
//
// A Client owns one goroutine that reads, calls back and ends with the connection; one that
// writes, started when there is something to write and gone when there is not; and a timer for
// keep-alive. After Done is closed none of them is left. An idle Client over TCP holds no buffers.
package client
