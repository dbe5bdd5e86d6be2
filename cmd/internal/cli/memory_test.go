package cli

import (
	"testing"
	"testing/fstest"
)

func TestCgroupLimit(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  int64 // 0 = none
	}{
		{"no cgroups", nil, 0},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/system.slice/m.service\n",
			"sys/fs/cgroup/system.slice/m.service/memory.max": "67108864\n"}, 64 << 20},
		{"version 2, no limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}, 0},
		{"version 2, tighter above", map[string]string{"proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "2000", "sys/fs/cgroup/a/memory.max": "1000"}, 1000},
		{"version 1", map[string]string{"proc/self/cgroup": "5:cpu,cpuacct:/gw\n4:memory:/gw\n",
			"sys/fs/cgroup/memory/gw/memory.limit_in_bytes": "67108864\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 64 << 20},
		{"in a container the host's path is not there", map[string]string{"proc/self/cgroup": "4:memory:/docker/abc\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000\n"}, 1000},
		{"nonsense", map[string]string{"proc/self/cgroup": "x\n4:memory\n0::/a\n", "sys/fs/cgroup/a/memory.max": "-5\n"}, 0},
	}
	for _, tt := range tests {
		files := fstest.MapFS{}
		for name, data := range tt.files {
			files[name] = &fstest.MapFile{Data: []byte(data)}
		}
		if got, ok := cgroupLimit(files); got != tt.want && ok || ok != (tt.want != 0) {
			t.Errorf("%s: got %d, %v; want %d", tt.name, got, ok, tt.want)
		}
	}
}
