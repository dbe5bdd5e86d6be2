package cli

import (
	"io/fs"
	"log/slog"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// memoryShare is how much of a memory cgroup's limit the Go heap and stacks may take; the rest is for what
// else the kernel counts there: the binary, page cache being written, socket buffers.
const memoryShare = 0.9

// limitMemory has the garbage collector keep within this process's memory cgroup, when it has a limit and the
// operator has not set GOMEMLIMIT.
func limitMemory(log *slog.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	limit, ok := cgroupLimit(os.DirFS("/"))
	if !ok {
		return
	}
	debug.SetMemoryLimit(int64(float64(limit) * memoryShare))
	log.Info("memory limited", "cgroup", limit, "share", memoryShare)
}

// cgroupLimit is the least limit of the process's memory cgroup and those above it; root is "/". Both
// versions of cgroups are read:
//
//	/proc/self/cgroup   0::/a/b         → /sys/fs/cgroup/a/b/memory.max
//	                    4:memory:/a/b   → /sys/fs/cgroup/memory/a/b/memory.limit_in_bytes
//
// In a container the path may be that of the host: what is not there is left out.
func cgroupLimit(root fs.FS) (limit int64, ok bool) {
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0, false // not Linux, or no cgroups
	}
	for _, line := range strings.Split(strings.TrimSpace(string(own)), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if parts[1] != "memory" {
				continue
			}
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n, found := readLimit(root, path.Join(base, dir, file)); found && (!ok || n < limit) {
				limit, ok = n, true
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit, ok
}

// unlimited is above any memory there is: version 1 says "no limit" with a number near 2^63.
const unlimited = 1 << 60

// readLimit reads one file; "max" and what is no number are no limit.
func readLimit(root fs.FS, name string) (limit int64, ok bool) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil && n > 0 && n < unlimited
}
