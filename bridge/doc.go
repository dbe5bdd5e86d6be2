// Package bridge carries messages between nodes: edge to core, and core to core.
//
// A neighbour is what this node knows of another one and still owes it, on disk; a link is a connection to it while
// there is one. To the Router a neighbour is one more subscriber.
//
//	Router ─Deliver─→ neighbour ┬ lane.Queue: QoS 1, 2, retained, on disk ┐
//	                            └ lane.Ring:  QoS 0, in memory           ┴→ link.run ─frames→ mqtt.Carrier
//	mqtt.Carrier ─frames→ link.Frame ─ seen before? ─ Router.Publish ─ batch stable ─→ acknowledge
//
// This package is about who is there, and what is done when. What it is done with has packages of its own:
//
//	frame      what links say to each other, in bytes
//	lane       what is still to be sent to a neighbour
//	seen       which messages came before
//	interest   which filters nodes want from each other
//	pace       how much the line carries, and so how much may be under way
//	reconcile  in which topics two nodes hold different retained messages
//	remote     connections to brokers that are no Mangrove nodes
//
// Where to begin: bridge.go (how it starts and ends), neighbour.go, then link.go and the files named for what a link does:
// greet, link_send, link_receive, ingest. An edge dials in uplink.go, a core in peers.go; an edge that moves is in move.go.
//
// What a neighbour gets is its interest: filters that it announces, kept here on disk, so that messages wait for it while it
// is away. An edge sends up what its configuration says.
//
// An edge whose upstream is no Mangrove node speaks plain MQTT 5 to it: a remoteLink in the place of a link, on the same queue
// (remote_link.go, package remote).
//
// Each link has one goroutine, which sends; frames come in on the connection's. Each dialled neighbour, and each edge that
// moved to another core with messages left here, has one more. The Bridge owns them all and Close waits for them.
//
// Who may connect, and membership, are for others: Accept is called after authentication, SetPeers and SetCores say
// whom to dial. DESIGN.md says why it is as it is.
package bridge
