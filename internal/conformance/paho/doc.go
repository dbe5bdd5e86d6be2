// Package paho shows the rules of MQTT 5.0 through a client that we did not write, paho.golang, against a whole server:
// what package wire shows byte by byte, as far as a library can express it. It has tests only.
//
//	paho.Client ─ net.Pipe or a socket → serve.Server
//
// All but the transports, and what listeners do not offer, run in bubbles of testing/synctest, like package wire: hours
// cost nothing, and silence can be shown. A library sends no bad packets, so these stay with package wire alone: packets
// that do not fit their format (first and second CONNECT, flags, lengths, UTF-8, empty SUBSCRIBE), packets out of turn
// (PUBREL for an unknown id), acknowledgements with an error, reason strings to the byte, and all of 3.1 and 3.1.1. The
// library sends only delay and user properties of a will, it keeps one subscription identifier of a message, and one
// connection's packet ids are its own affair: the other properties, several identifiers, and packet ids, stay there too.
package paho
