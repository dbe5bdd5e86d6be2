package bench

import "time"

// Usage is what a process has used since it began.
type Usage struct {
	CPU     time.Duration
	RSS     int64 // bytes in memory now
	Anon    int64 // of RSS: the process's own
	File    int64 // of RSS: what maps files
	PeakRSS int64 // the most there ever were
	Written int64 // bytes written to devices
}
