// Package lane holds what is still to be sent to one neighbour, in two lanes: Queue is the durable one (QoS 1, QoS 2 and
// retained messages, on disk until acknowledged), Ring the volatile one (QoS 0, in memory, for as long as there is a
// connection).
//
//	Router.Publish ─ Add, into the publisher's batch ─→ Queue ─ Next ─→ who sends ─→ the neighbour
//	                                                      ↑ Ack, Discard ──┘
//	Router.Publish ─ Add ─────────────────────────────→ Ring ─ Take ─→ who sends
//
// Who sends is one owner at a time (Attach): a link, a remote link or a mover of package bridge. It calls Next and Refill
// until there is nothing, and is woken by Config.Changed when there is again.
//
// A lane has no goroutine: a Queue has a timer for what went out early (queue_early.go). The Store's writer tells it the
// outcome of batches (Committed).
package lane
