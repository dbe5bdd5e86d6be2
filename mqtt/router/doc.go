// Package router is where messages and subscriptions meet: it finds the subscribers of a topic and hands them what is
// published there.
//
//	Publish ──→ stamp ID, Origin ──→ Retained.Set, if RETAIN ──→ targets of the topic ──→ Subscriber.Deliver
//	                                                               ▲
//	   Cache of one publisher ── tree unchanged? ─┬─ yes ──────────┤
//	                                              └─ no ── match ──┘  merged: one target for each subscriber
//	                                                         ▲
//	Subscribe, Unsubscribe ──→ tree of filters ──────────────┘   "$share/group/filter": the group is the subscriber
//	              └─→ interest by scope ──→ watchers: what the links ask for
//
// Publishing takes no lock: the tree is read without one. Subscribe and Unsubscribe take the Router's lock, and tell
// watchers under it. The package has no goroutines; Deliver runs on the publisher's.
//
// What is kept for a subscriber is its session's business, who may publish and subscribe the connection's, and
// committing the batch of a receipt the publisher's. See DESIGN.md.
package router
