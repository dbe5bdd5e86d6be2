// Package topic knows topic names, topic filters, the shared-subscription syntax, and the tree
// that finds the subscriptions of a topic. Sections are those of MQTT 5.0.
//
//	SUBSCRIBE filter ─CheckFilter→ Split ─┬→ group
//	                                      └→ filter ─Tree.Set→ tree
//	PUBLISH name ─CheckName→ Tree.Match → visit(key, value) for each entry whose filter matches
//
// Topics are compared byte by byte: nothing is normalised, trimmed or folded [MQTT-4.7.3-4]
// [MQTT311-4.7.3-4].
// The package starts no goroutines and does no I/O.
package topic
