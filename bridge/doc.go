// Package bridge carries messages between nodes: edge to core, and core to core.
//
// A Neighbour is what this node knows of another one and still owes it, on disk; a link is a connection to it while
// there is one. To the Router a Neighbour is one more subscriber.
//
//	Router ─Deliver─→ Neighbour ┬ queue: QoS 1, 2, retained, on disk ┐
//	                            └ ring:  QoS 0, in memory           ┴→ link.run ─frames→ mqtt.Carrier
//	mqtt.Carrier ─frames→ link.Frame ─ seen before? ─ Router.Publish ─ batch stable ─→ acknowledge
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
