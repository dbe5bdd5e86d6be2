// Package mqtt is the words that the parts of a node share: Message, Subscription, Delivery,
// Receipt, and the seams between engine, session state, retained messages, links and authority.
// No I/O and no goroutines.
//
// The way of one publish:
//
//	broker.conn ─Message, Receipt→ Router.Publish ─┬→ Retained.Set
//	                                               └→ Subscriber.Deliver (session, neighbour, …)
//	   each taker that must keep it writes to Receipt.Batch; the publisher's connection commits
//	   the batch once for all takers; when it is stable the Receipt is done and the
//	   acknowledgement may leave.
//
// No package of this module is a library for others: signatures need packages under internal/, and change without notice.
package mqtt
