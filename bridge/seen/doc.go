// Package seen recognises messages that a node has taken in already, by their origin: a Filter is an exact set of
// numbers for each origin, within a window, kept on disk with the messages.
//
//	frame of messages ─ Mark each ─→ new: publish it │ repeat: do not
//	                  ─ Write ─→ the frame's batch ─ committed ─→ Settle
//	messages not kept after all ─→ Forget
//
// It has no goroutine. When to mark, and what to do when a message is not kept, package bridge decides.
package seen
