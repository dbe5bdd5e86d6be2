package bench

import "time"

// Usage is what a process has used since it began.
type Usage struct {
	CPU     time.Duration
	RSS     int64 // bytes in memory now
	PeakRSS int64 // the most there ever were
	Written int64 // bytes written to devices
}
