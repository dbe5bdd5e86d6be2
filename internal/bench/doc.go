// Package bench measures MQTT brokers, ours and others', with a load generator that costs less
// than what it measures.
//
//	scenario ── publishers ─┐                      ┌─ histogram (latency)
//	                        ├─ conns ─ loop ─ epoll ┼─ tracks (lost, duplicated, reordered)
//	scenario ── subscribers ┘                      └─ usage (the broker's CPU and memory, by pid)
//
// Everything runs on the goroutine that calls Run: one loop owns all state, waits for sockets, reads
// many packets per call, and writes what came of them in one call per connection. There are no other
// goroutines. The clock is read when the wait ends, which is when what it found had come, and again
// before publishers go on: what handling takes is not counted as the broker's.
//
// Each message carries its stream, its number in the stream, and the time it was meant to be sent;
// see stamp. Closed loop: a publisher has at most Window messages that are not delivered to all their
// takers and acknowledged. Open loop: messages are due at fixed times, and latency counts from then,
// whether or not the broker or the generator was late.
//
// What the broker is and how it is started is left to others; see cmd/internal/matrix.
package bench
