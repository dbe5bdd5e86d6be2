// Package topic knows topic names, topic filters, the shared-subscription syntax, the topics that begin with "$", and
// the tree that finds the subscriptions of a topic. Sections are those of MQTT 5.0.
//
//	SUBSCRIBE filter ─CheckFilter→ MaySubscribe ─→ Split ─┬→ group
//	                                                      └→ filter ─Tree.Set→ tree
//	PUBLISH name ─CheckName→ MayPublish ─→ Tree.Match → visit(key, value) for each entry whose filter matches
//
// What is different about topics that begin with "$" is one table, spaces: MayPublish, MaySubscribe, Counted,
// CountedFilter, Crosses and Retained answer from it, in all parts of a node.
//
// Topics are compared byte by byte: nothing is normalised, trimmed or folded [MQTT-4.7.3-4]
// [MQTT311-4.7.3-4].
// The package starts no goroutines and does no I/O.
package topic
