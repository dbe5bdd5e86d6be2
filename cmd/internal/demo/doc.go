// Package demo runs a whole system on one machine: real processes of the mangrove binary on loopback,
// a simulated fleet, and faults, and proves at the end what arrived.
//
//	demo ─starts─▶ core-1 ═ core-2            processes of its own binary
//	        │         ▲        ▲
//	        ├─owns─▶ proxies (internal/sim)   the only way up; cut for the uplink fault
//	        │         ▲        ▲
//	        ├─starts─▶ edge-a  edge-b  edge-c  kill -9 and restart on the same port and data
//	        │           ▲       ▲       ▲
//	        └─runs────▶ firmwaresim: devices at each edge, verified at the next
//
// When the devices are gone an old image of an edge is put back, and what it publishes then arrives too.
//
// Run owns every process, proxy and goroutine and ends them before it returns. On Linux the kernel ends the
// processes should the demo itself be killed.
package demo
