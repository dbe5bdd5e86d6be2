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

// releaseMapped takes size bytes of a file that are mapped at addr out of this process's memory. They stay in the kernel's cache, and come back when
// they are read.
func releaseMapped(addr uintptr, size int64) error {
	_, _, errno := syscall.Syscall(syscall.SYS_MADVISE, addr, uintptr(size), syscall.MADV_DONTNEED)
	if errno != 0 {
		return errno
	}
	return nil
}
