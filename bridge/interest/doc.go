// Package interest is about the filters that nodes want from each other: what this node wants, as its links are told
// of it (Announcer); what a neighbour wants (Set); and what to subscribe to at a broker that is no Mangrove node (Cover,
// Rivals), where one message may come in several copies (Copies).
//
//	Router.Interest ─ Changed ─→ Announcer ─┬→ Follower of a link        ─ Pull ─→ INTEREST frames
//	                                        └→ Follower of a remote link ─ Pull ─→ Cover ─→ SUBSCRIBE, UNSUBSCRIBE
//	INTEREST frames of a neighbour ─→ Set ─→ Router.Subscribe, and kept on disk by package bridge
//
// It keeps nothing on disk and sends nothing: package bridge does. It has no goroutine of its own: who makes an
// Announcer calls Run.
package interest
