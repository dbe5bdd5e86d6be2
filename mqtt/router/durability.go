package router

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"mangrove/internal/batch"
	"mangrove/mqtt/topic"
)

// Durability says by topic how stable a QoS 1 or 2 publish is to be before it is acknowledged. The first rule whose filter
// matches counts, else Default. The zero value keeps everything on stable storage first.
type Durability struct {
	Default batch.Slack
	Rules   []DurabilityRule
}

// DurabilityRule is for the topics that match Filter.
type DurabilityRule struct {
	Filter string
	Slack  batch.Slack
}

// of is asked once per publisher and topic: the answer is cached with the topic's subscribers.
func (d *Durability) of(topicName string) batch.Slack {
	topicName = topic.Counted(topicName)
	for i := range d.Rules {
		if topic.Match(d.Rules[i].Filter, topicName) {
			return d.Rules[i].Slack
		}
	}
	return d.Default
}

// Bounds of an interval: below it a commit is as quick, above it the operator means none.
const (
	minInterval = time.Millisecond
	maxInterval = time.Hour
)

// ParseDurability reads a class: "commit", a time such as "50ms", or "none".
func ParseDurability(s string) (batch.Slack, error) {
	switch s {
	case "commit":
		return batch.Synced, nil
	case "none":
		return batch.Unsynced, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < minInterval || d > maxInterval {
		return 0, errors.New(`want commit, a time from 1ms to 1h such as 50ms, or none`)
	}
	return batch.Slack(d), nil
}

// ParseDurabilityRule reads "filter = class".
func ParseDurabilityRule(s string) (r DurabilityRule, err error) {
	i := strings.LastIndexByte(s, '=')
	if i < 0 {
		return r, errors.New(`want "FILTER = CLASS", as in "debug/# = none"`)
	}
	r.Filter = strings.TrimSpace(s[:i])
	if err := topic.CheckFilter(r.Filter, topic.MaxLevels); err != nil {
		return r, err
	}
	if group, _ := topic.Split(r.Filter); group != "" {
		return r, fmt.Errorf("want the filter of topics, without $share/%s/", group)
	}
	r.Slack, err = ParseDurability(strings.TrimSpace(s[i+1:]))
	return r, err
}
