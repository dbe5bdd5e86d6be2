package matrix

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// diskUse is the bytes that the files under a folder take, holes left out.
func diskUse(folder string) (n int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		const block = 512 // of st_blocks, on Linux
		n += info.Sys().(*syscall.Stat_t).Blocks * block
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look at the disk: %w", err)
	}
	return n, nil
}
