package store

import "syscall"

// keepSize is FALLOC_FL_KEEP_SIZE: blocks are set aside, the file stays as long as it is.
const keepSize = 1

// allocateBlocks sets blocks aside for the first size bytes of a file.
func allocateBlocks(fd uintptr, size int64) error {
	for {
		if err := syscall.Fallocate(int(fd), keepSize, 0, size); err != syscall.EINTR {
			return err
		}
	}
}
