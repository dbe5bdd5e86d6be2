// Package auth decides who may connect to a node and what they may do. It is the only user of argon2.
//
//	CONNECT ─Authenticate→ Open: everybody
//	                       Passwords: user → password file (read again when it changes)
//	                                    known password of this run → HMAC, a microsecond
//	                                    else argon2id, few at a time
//	  with a method ─Begin→ Passwords: SCRAM-SHA-256, by the users' lines for it
//	PUBLISH, SUBSCRIBE ─MayPublish, MaySubscribe→ wherever the table of package topic lets clients
//
// No goroutines: checks run on the caller's.
package auth
