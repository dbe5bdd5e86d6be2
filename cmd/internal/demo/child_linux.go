package demo

import "syscall"

// childAttributes keep a node out of the terminal's Ctrl-C, which is for the demo, and end it with the
// demo's main thread.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
