// Package firmwaresim runs a fleet of simulated devices against brokers and proves what arrived.
//
//	Run ─ scheduler ─wake→ device ─actions→ link ─PUBLISH─▶ broker of the site
//	                         │                                  │
//	                         └─ published, acknowledged ─┐      ▼  (the system under test)
//	                                                  Ledger ◀─ verifier at another broker
//
// A device is a pure state machine with a sensor for its model; a runner gives it a clock and a network. One
// heap of alarms wakes all of them; each connection has one goroutine beside those of its client. The
// ledger compares what was acknowledged with what was received, by sequence numbers for each device, topic and QoS.
//
// Topics are sim/<run>/<site>/<model>/<device>/telemetry, status, cmd and reply. The site is the device's broker;
// the run is random, so that runs do not mix. Run removes its sessions and retained messages when it ends.
//
// DESIGN.md tells how the proof works and what it cannot see.
package firmwaresim
