//go:build !linux

package demo

import "syscall"

// childAttributes are the defaults: here a node outlives a demo that is killed with kill -9.
func childAttributes() *syscall.SysProcAttr { return nil }
