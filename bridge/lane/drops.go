package lane

// Reasons of drops: see metrics.Registry.Dropped.
const (
	DropQueueFull     = "link-queue-full"          // Queue at its bound: the oldest, or what the operator chose
	DropParkingFull   = "link-parking-full"        // from a link, for a Queue that refuses and has as much again parked
	DropBufferFull    = "link-buffer-full"         // Ring at its bound: neighbour slower than its messages come
	DropLinkDown      = "link-down"                // Ring without a connection
	DropExpired       = "link-expired"             // message expiry passed in the Queue
	DropDamaged       = "link-damaged"             // record or body could not be read
	DropRemoved       = "link-removed-by-operator" // Purge, or the operator had the neighbour forgotten
	DropNeighbourGone = "link-neighbour-gone"      // the Queue is closed: its neighbour is forgotten
)
