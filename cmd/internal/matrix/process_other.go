//go:build !linux

package matrix

import (
	"errors"
	"os/exec"
)

var errLinux = errors.New("the benchmark matrix runs on Linux only")

func startOn(int, *exec.Cmd) error  { return errLinux }
func cores() ([]int, error)         { return nil, errLinux }
func diskUse(string) (int64, error) { return 0, errLinux }
