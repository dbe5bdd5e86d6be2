// Package pubsub is the commands pub and sub: one small client each, with the flags, formats and exit codes of
// mosquitto_pub and mosquitto_sub where those have them.
//
//	arguments ─JoinProperties→ flags ─Pub.Run, Sub.Run→ mqtt/client ─→ standard output
//	                                        └─ errors carry their exit code
package pubsub
