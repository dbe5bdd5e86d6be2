// Package transport accepts and dials the byte streams that MQTT runs over: TCP, TLS, WebSocket,
// secure WebSocket and unix sockets. Every one of them is a net.Conn in the end; one that is a Conn, too, can
// be read without a buffer held and parked without a goroutine (DESIGN.md). [MQTT-4.2.0-1] [MQTT311-7.1.1-1]
//
//	socket ─accept─┬────────────────────────────────────────→ Listener.Accept   (tcp, unix)
//	               └→ half-open ─[PROXY header]─ TLS ─ WebSocket ─ ok → Listener.Accept   (tls, ws, wss, and any with Config.Proxy)
//	                         └ too slow, too many, wrong bytes → closed, Config.Rejected
//
// A listener with something to do first owns one goroutine that accepts, and one for each half-open
// handshake; Close ends them and waits. Other tcp and unix listeners own none. Connections belong to whom
// Accept or Dial gave them. What the bytes mean, keep-alive and deadlines are the caller's.
package transport
