package sim

import "runtime/metrics"

// AllocatedBy is the bytes that fn allocates on the heap: the least of so many runs, as others allocate meanwhile.
func AllocatedBy(runs int, fn func()) uint64 {
	least := ^uint64(0)
	for range runs {
		before := allocated()
		fn()
		least = min(least, allocated()-before)
	}
	return least
}

// allocated is the bytes that this process has ever allocated on the heap.
func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
