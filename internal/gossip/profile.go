package gossip

import (
	"time"

	"github.com/hashicorp/memberlist"
)

// Profile is a set of timings.
type Profile string

const (
	LAN   Profile = "lan"   // hosts on one network; a dead node is noticed within some seconds
	Local Profile = "local" // processes on one host; joins spread well within a second
)

// timing is what this package waits for, apart from memberlist.
type timing struct {
	suspectFor time.Duration // how long a dead node stays in the list
	retryMin   time.Duration // least bound of the wait before a seed is tried again
	retryMax   time.Duration // greatest bound of that wait, and the interval of looking for missing seeds
	leave      time.Duration // how long Close tries to tell the others, for each of two messages
}

func (p Profile) timing() timing {
	if p == Local {
		return timing{suspectFor: 5 * time.Second, retryMin: 100 * time.Millisecond, retryMax: 2 * time.Second,
			leave: time.Second}
	}
	return timing{suspectFor: time.Minute, retryMin: time.Second, retryMax: 30 * time.Second, leave: 2 * time.Second}
}

// config is memberlist's configuration for p, before addresses and names.
func (p Profile) config() *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.TCPTimeout = 3 * time.Second
	c.DeadNodeReclaimTime = 0 // names are used once
	c.LogOutput = nil
	if p == Local {
		c.TCPTimeout = time.Second
		c.IndirectChecks = 1
		c.GossipInterval = 50 * time.Millisecond
		c.ProbeInterval = 300 * time.Millisecond
		c.ProbeTimeout = 150 * time.Millisecond
		c.SuspicionMult = 3
		c.SuspicionMaxTimeoutMult = 2
		c.AwarenessMaxMultiplier = 2
		c.PushPullInterval = 5 * time.Second
		c.GossipToTheDeadTime = 5 * time.Second
	}
	return c
}
