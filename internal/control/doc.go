// Package control is the operator's way to a node that runs: HTTP over a unix socket in its data folder.
//
//	mangrove data backup DIR OUT ─ Dial ─▶ DIR/control.sock ─ Server ─▶ Config.Backup
//
// Whoever runs the node, and root, may use it, nobody else: the socket has mode 0600, and the kernel is asked who connects. Requests:
//
//	POST /v1/backup   the answer's body is the backup; the trailer X-Error says why it is not whole
//	POST /v1/compact  the answer is {"before": bytes, "after": bytes}
//	GET  /v1/status, /v1/sessions?order=&prefix=&limit=, /v1/session?id=
//	POST /v1/session/remove?id=&kick=, /v1/link/purge?name=, /v1/link/forget?name=   as Operator answers, in JSON
//
// 404 = there is no such thing, 409 = not now: the same is under way already, or what it is about is connected; 501 = the node cannot do
// it, 503 = it failed; the body says why. The goroutines are those of
// net/http; they belong to Server and end with Close.
package control
