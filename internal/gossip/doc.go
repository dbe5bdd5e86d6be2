// Package gossip tells a node which other nodes there are. It is the only user of memberlist.
//
//	memberlist ─join, leave, update→ roster ─changed→ loop ─members→ Config.OnChange
//	seeds, lost members ─not in the roster→ seek ─Join→ memberlist
//
// Only the facts needed to dial a node travel by gossip (Meta). A node that gossip takes for dead
// is merely suspect: it stays in the list for SuspectFor, because its links may still work and
// only they decide. Whoever goes from the list as a suspect is lost, not gone: what is listed as alive
// and then is not has said goodbye.
//
// A node that comes back is a new member: to memberlist each start has a name of its own (node
// name, store id and a random number), so that neither a new address nor a fresh node
// under an old name is a conflict. The caller sees one member for each node name: a live one
// before a suspect one, then the one that started last.
//
// A Pool owns two goroutines, loop and seek; both end in Close. memberlist owns its own, which
// end soon after Close returned.
package gossip
