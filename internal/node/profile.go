package node

import (
	"time"

	"mangrove/internal/store"
)

// Profiles: what a node's disk is like.
const (
	Standard = "standard"
	SDCard   = "sd-card" // slow, and worn by every page written: latency is traded for fewer and fuller ones
)

// disk sets what the profile says of the store; see store.Config for the price.
func (c *Config) disk(s *store.Config) {
	if c.Profile != SDCard {
		return
	}
	s.GroupWindow = 50 * time.Millisecond
	s.CheckpointBytes, s.MaxDeltaBytes, s.CheckpointEvery = 16<<20, 32<<20, 10*time.Minute
}

// EarlyPatience is link.early where the operator leaves it to the profile: how long a message may wait, unwritten, for a core to have it;
// 0 = none does.
func EarlyPatience(profile string) time.Duration {
	if profile == SDCard {
		return 200 * time.Millisecond
	}
	return 0
}
