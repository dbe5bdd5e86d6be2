package control

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// admit refuses who is neither the node's user nor root: between its making and its chmod others could have connected to the socket.
func admit(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var peer *unix.Ucred
	var asked error
	if err := raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if asked != nil {
		return fmt.Errorf("ask who connects: %w", asked)
	}
	if int(peer.Uid) != os.Geteuid() && peer.Uid != 0 {
		return fmt.Errorf("user %d is neither the node's nor root", peer.Uid)
	}
	return nil
}
