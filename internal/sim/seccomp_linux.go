package sim

import (
	"runtime"
	"syscall"
	"unsafe"
)

// FailCalls makes a system call fail with errno in every thread of this process, for ever, by a seccomp filter.
func FailCalls(call, errno int) error {
	const (
		prSetNoNewPrivs = 38
		setModeFilter   = 1
		flagAllThreads  = 1
		retErrno        = 0x00050000
		retAllow        = 0x7fff0000
	)
	filter := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: 0}, // the call's number
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, Jt: 0, Jf: 1, K: uint32(call)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: retErrno | uint32(errno)},
		{Code: syscall.BPF_RET | syscall.BPF_K, K: retAllow},
	}
	program := syscall.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	number, ok := map[string]uintptr{"amd64": 317, "arm64": 277, "arm": 383, "riscv64": 277}[runtime.GOARCH]
	if !ok {
		return syscall.ENOSYS
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, err := syscall.RawSyscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); err != 0 {
		return err
	}
	if _, _, err := syscall.RawSyscall(number, setModeFilter, flagAllThreads, uintptr(unsafe.Pointer(&program))); err != 0 {
		return err
	}
	return nil
}
