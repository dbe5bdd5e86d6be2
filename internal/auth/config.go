package auth

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"mangrove/internal/metrics"
	"mangrove/internal/setting"
	"mangrove/mqtt"
)

// Config of an Authority. The zero value lets everybody in: keeping such a node to loopback is up to
// whoever opens its listeners. Zero and negative numbers mean what package setting says.
type Config struct {
	// PasswordFile has one line per user, "name:$argon2id$…"; empty lines and lines that start with # are skipped.
	// A second line of the same name, or the only one, "name:SCRAM-SHA-256$…", is for clients that prove their
	// password by SCRAM-SHA-256 instead of sending it. "" = nobody is asked for a password.
	PasswordFile string
	// AllowAnonymous lets clients in that give no user name although there is a PasswordFile.
	AllowAnonymous bool

	// MaxHashing is how many passwords are checked at a time, each taking the memory its line of the file says;
	// others wait up to MaxWait and are then refused as ServerBusy. Zero = 2 and 10 s.
	MaxHashing int
	MaxWait    time.Duration

	Log     *slog.Logger
	Metrics *metrics.Registry
	Now     func() time.Time // default time.Now; only for how often the file is looked at
}

// New returns the Authority that cfg asks for. A password file with a mistake is refused with file and line.
func New(cfg Config) (mqtt.Authority, error) {
	err := errors.Join(
		setting.Default("MaxHashing", &cfg.MaxHashing, 2),
		setting.Default("MaxWait", &cfg.MaxWait, 10*time.Second),
	)
	if err != nil {
		return nil, fmt.Errorf("auth config: %w", err)
	}
	if cfg.PasswordFile == "" {
		return Open{}, nil
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return newPasswords(cfg)
}
