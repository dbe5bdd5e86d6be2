// Package systemd tells a service manager how the process is doing (sd_notify). Where there is none
// (NOTIFY_SOCKET is not set) it does nothing.
package systemd

import (
	"fmt"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that clients are accepted.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Stopping says that the process is closing.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

func notify(state string) error {
	if _, err := daemon.SdNotify(false, state); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
