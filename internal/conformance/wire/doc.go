// Package wire shows what a peer sees of a whole server, statement by statement: real sessions, retained
// messages and store behind the engine, and a scripted client in front of it. It has tests only.
//
//	peer ─Write→ net.Pipe → broker.Server → session.Manager, retain.Store → store.Store (a folder of the test)
//	     ←Want──
//
// There is one file for each chapter of the standards. Each test runs in a bubble of testing/synctest: time
// passes only when everybody waits, so silence can be shown (WantIdle) and hours cost nothing.
package wire
