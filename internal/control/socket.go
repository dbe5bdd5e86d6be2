package control

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// SocketName is the socket's name in the data folder.
const SocketName = "control.sock"

// longestPath is the longest path of a unix socket that every system takes.
const longestPath = 100

// at runs fn with a path of the socket in dir that is short enough: the one through an open file, when the folder's own is too long.
func at(dir string, fn func(path string) error) error {
	path := filepath.Join(dir, SocketName)
	if len(path) <= longestPath {
		return fn(path)
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // read only: nothing can be lost
	return fn(filepath.Join("/proc/self/fd", strconv.Itoa(int(f.Fd())), SocketName))
}

// listen makes the socket in dir, which this process has for itself: what a killed one left is replaced.
func listen(dir string) (*net.UnixListener, error) {
	path := filepath.Join(dir, SocketName)
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("%s is in the way: it is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var l *net.UnixListener
	err := at(dir, func(short string) (err error) {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // Server does, by the full path
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close() // the first error is told
		return nil, err
	}
	return l, nil
}

// dial connects to the socket in dir.
func dial(ctx context.Context, dir string) (c net.Conn, err error) {
	err = at(dir, func(short string) (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "unix", short)
		return err
	})
	return c, err
}
