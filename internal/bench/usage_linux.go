package bench

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// UsageOf reads the usage of a process; 0 is this one.
func UsageOf(pid int) (u Usage, err error) {
	if pid == 0 {
		pid = os.Getpid()
	}
	if u.CPU, err = cpuTime(pid); err != nil {
		return u, err
	}
	folder := fmt.Sprintf("/proc/%d/", pid)
	status, err := procFields(folder+"status", "VmRSS", "VmHWM", "RssAnon", "RssFile")
	if err != nil {
		return u, err
	}
	u.RSS, u.PeakRSS = status["VmRSS"]<<10, status["VmHWM"]<<10
	u.Anon, u.File = status["RssAnon"]<<10, status["RssFile"]<<10
	io, err := procFields(folder+"io", "write_bytes")
	if err != nil {
		return u, err
	}
	u.Written = io["write_bytes"]
	return u, nil
}

// cpuTime asks the CPU clock of a process, which counts nanoseconds and threads that have ended.
func cpuTime(pid int) (time.Duration, error) {
	const perProcessSched = 2 // CPUCLOCK_SCHED; the kernel's encoding of a clock of another process
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|perProcessSched), &ts); err != nil {
		return 0, fmt.Errorf("read CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// procFields reads "Name: number" lines.
func procFields(path string, names ...string) (map[string]int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	defer f.Close()
	found := make(map[string]int64, len(names))
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		for _, want := range names {
			if name != want {
				continue
			}
			if found[name], err = strconv.ParseInt(strings.Fields(rest + " -")[0], 10, 64); err != nil {
				return nil, fmt.Errorf("read usage: %s: %w", path, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read usage: %w", err)
	}
	if len(found) != len(names) {
		return nil, fmt.Errorf("read usage: %s has not all of %v", path, names)
	}
	return found, nil
}
