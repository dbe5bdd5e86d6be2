//go:build !linux

package bench

import (
	"errors"
	"net/netip"
	"time"
)

// errLinux is what Run answers elsewhere: the generator stands on epoll and /proc.
var errLinux = errors.New("the load generator runs on Linux only")

type event struct {
	tag                int32
	readable, writable bool
}

type poller struct{}

func newPoller() (*poller, error)                                { return nil, errLinux }
func (*poller) close()                                           {}
func (*poller) add(int, int32, bool) error                       { return errLinux }
func (*poller) change(int, int32, bool) error                    { return errLinux }
func (*poller) forget(int) error                                 { return errLinux }
func (*poller) wait(e []event, _ time.Duration) ([]event, error) { return e, errLinux }
func dial(netip.AddrPort, netip.Addr) (int, error)               { return -1, errLinux }
func connectError(int) error                                     { return errLinux }
func readSocket(int, []byte) (int, error)                        { return 0, errLinux }
func writeSocket(int, []byte) (int, error)                       { return 0, errLinux }
func closeSocket(int)                                            {}

// MaxSockets is how many sockets this process may have.
func MaxSockets() (int, error) { return 0, errLinux }

// UsageOf reads the usage of a process.
func UsageOf(int) (Usage, error) { return Usage{}, errLinux }
